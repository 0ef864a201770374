"""`cdp test`: exit codes and where its results go."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cdp_stream.cli.main import main
from tests.definition_tests.files import write

PASSES = (
    "  - {name: a, steps: [{profile: 7, user_attributes: {plan: gold}, expect: {gold: [7]}}]}\n"
)
UNMATCHED = (
    "`commerce: purchase`, `screen_view: any` and `Sign Up` were never received"
    " (used in `buyers`, `trial/paid`, `app-visitors` and `trial/began`)\n"
)
FAILS = "  - {name: b, steps: [{at: 0s, expect: {gold: [7]}}]}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path()


def test_all_passing_exits_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, PASSES)
    assert main(["test", "tests"]) == 0
    assert capsys.readouterr() == ("ok   tests/shop.yaml:6: a\n1 passed, 0 failed\n", UNMATCHED)


def test_a_failure_exits_1_and_shows_its_diff(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, PASSES + FAILS)
    assert main(["test", "tests/shop.yaml"]) == 1
    out, err = capsys.readouterr()
    assert "FAIL tests/shop.yaml:7: b\n" in out
    assert "- 7  expected, is not a member" in out
    assert "\x1b" not in out
    assert err == UNMATCHED


def test_a_wrong_file_exits_1_and_the_others_are_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, PASSES)
    assert main(["test", "tests/shop.yaml", "none.yaml", "--junit", "out.xml", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["passed"] == 1
    assert err.startswith("none.yaml:1:1: document: the file cannot be read")
    assert ET.parse("out.xml").getroot().get("errors") == "1"


def test_a_junit_file_that_cannot_be_written_is_the_disk_s_fault(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, PASSES)
    assert main(["test", "tests", "--junit", "no/such/folder.xml"]) == 3
    assert "no/such/folder.xml: cannot be written" in capsys.readouterr().err


def test_no_file_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test"]) == 2
    assert "Missing argument 'FILE...'" in capsys.readouterr().err


def test_warnings_about_definitions_go_to_standard_error_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, PASSES)
    definitions = folder / "definitions.yaml"
    definitions.write_text(definitions.read_text().replace("last: 10s", "last: 90d", 1))
    Path("tests/more.yaml").write_text(Path("tests/shop.yaml").read_text())
    assert main(["test", "tests", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["passed"] == 2
    # Both files are about the same definitions: one count, one line.
    assert err == "2 warnings: cdp check shows them\n" + UNMATCHED
