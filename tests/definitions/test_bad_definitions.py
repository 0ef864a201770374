"""Golden files: every bad definition beside exactly the problems that it has.

To change them on purpose, write the new output of `cdp check FILE` without its last line.
"""

from pathlib import Path

import pytest

from cdp_stream.core.secret_names import USUAL
from cdp_stream.definitions import CODES, Severity, load_text
from cdp_stream.definitions.load import load_files
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.definitions.source.yaml_reader import parse

BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _inside_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent / "bad")


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_bad_definition_has_exactly_the_problems_beside_it(file: Path) -> None:
    loaded = load_files([file.name], USUAL)
    assert loaded.account is None
    lines = [str(problem) for problem in loaded.problems]
    assert lines == file.with_suffix(".expected.txt").read_text().splitlines()


def test_there_is_a_golden_file_for_every_code_that_one_file_can_have() -> None:
    found = {problem.code for file in BAD for problem in load_files([file.name], USUAL).problems}
    needs_more_than_a_golden_file = {
        "conflicting-account",
        "file-too-large",
        "too-many-nodes",
        "unreadable-file",
    }
    of_test_files = {"bad-instant", "no-expectation", "time-goes-back"}
    assert found == set(CODES) - needs_more_than_a_golden_file - of_test_files


def test_every_golden_file_has_its_definition() -> None:
    here = Path()
    assert {path.name.removesuffix(".expected.txt") for path in here.glob("*.txt")} == {
        file.stem for file in BAD
    }


def test_every_problem_is_an_error_at_a_place_that_exists() -> None:
    for file in BAD:
        lines = file.read_bytes().decode("utf-8", "replace").split("\n")
        for problem in load_files([file.name], USUAL).problems:
            assert problem.severity is Severity.ERROR
            assert 1 <= problem.line <= len(lines)
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


def test_a_cycle_names_all_who_are_in_it() -> None:
    cycles = [p for p in load_files(["cycles.yaml"]).problems if p.code == "cycle"]
    assert [p.related for p in cycles] == [
        ("self",),
        ("a", "b", "c"),
        ("j/first", "j/second"),
        ("k/low", "k/top"),
    ]


def test_a_file_over_the_size_limit_is_refused_unread() -> None:
    problems = Problems()
    assert parse(b"#" * (8 * 1024 * 1024 + 1), "big.yaml", problems) is None
    assert [p.code for p in problems.found] == ["file-too-large"]


def test_a_file_of_nothing_but_values_is_refused() -> None:
    loaded = load_text("audiences: [" + "1," * 250_001 + "]")
    assert [p.code for p in loaded.problems][:1] == ["too-many-nodes"]
