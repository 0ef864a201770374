"""Every problem of a test file, at its place."""

from pathlib import Path

import pytest

from cdp_stream.definition_tests.read import load_suites
from tests.definition_tests.files import HEAD, load, write


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path()


def problems(folder: Path, steps: str, head: str = HEAD) -> list[str]:
    lines = "".join(f"      {line}\n" for line in steps.strip().splitlines())
    loaded = load(folder, f"  - name: it\n    steps:\n{lines}", head)
    assert bool(loaded.wrong) is (loaded.suites == ())
    return [str(problem).removeprefix("tests/shop.yaml:") for problem in loaded.problems]


LOOK = "\n- {expect: {gold: []}}"
ADVICE = "write `2026-01-01T10:00:00Z`, a date, epoch milliseconds, or `+3d`"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (
            "- {expect: {bayers: [7]}}",
            "8:19: tests[0].steps[0].expect.bayers: there is no audience or milestone `bayers`; "
            "did you mean `buyers`? [unknown-reference]",
        ),
        (
            "- {changes: [{add: 7, audience: trial/pad}]}",
            "8:39: tests[0].steps[0].changes[0].audience: there is no audience or milestone "
            "`trial/pad`; did you mean `trial/paid`? [unknown-reference]",
        ),
        (
            "- {changes: {xxxxxxxx: []}}",
            "8:20: tests[0].steps[0].changes.xxxxxxxx: there is no audience or milestone "
            "`xxxxxxxx`; defined are: `app-visitors`, `buyers`, `gold`, `trial/began`, "
            "`trial/paid`, `trial/rest` [unknown-reference]",
        ),
        (
            "- {profil: 7, at: 0s}" + LOOK,
            "8:10: tests[0].steps[0].profil: unknown key `profil`; did you mean `profile`? "
            "[unknown-key]",
        ),
        (
            "- {profile: seven, event: A}" + LOOK,
            "8:19: tests[0].steps[0].profile: the text 'seven' is not a valid profile id; write "
            "a whole "
            "number of 64 bits [bad-value]",
        ),
        (
            "- {profile: 7, event: A, input: wep}" + LOOK,
            "8:39: tests[0].steps[0].input: there is no input `wep`; did you mean `web`? "
            "[unknown-reference]",
        ),
        (
            "- {profile: 7, commerce: purchas}" + LOOK,
            "8:32: tests[0].steps[0].commerce: `purchas` is not a valid commerce action; did "
            "you mean "
            "`purchase`? [bad-value]",
        ),
        (
            "- {profile: 7, event: any}" + LOOK,
            "8:29: tests[0].steps[0].event: `any` is not a valid event; name the one that happened "
            "[bad-value]",
        ),
        (
            "- {profile: 7, attributes: {a: 1}}" + LOOK,
            "8:22: tests[0].steps[0]: there is no event for `attributes`; add one of `event`, "
            "`screen_view`, `commerce`, `session`, `install`, `upgrade`, `uninstall`, `crash`, "
            "`attribution` [missing-subject]",
        ),
        (
            "- {profile: 7, event: A, commerce: purchase}" + LOOK,
            "8:32: tests[0].steps[0]: `event` and `commerce` are two events; list them under "
            "`events` [many-subjects]",
        ),
        (
            "- {profile: 7, event: A, total_amount: 3}" + LOOK,
            "8:32: tests[0].steps[0].total_amount: `total_amount` belongs to `commerce`, not to "
            "`event`; put it under `attributes`, or under `fields` [misplaced-key]",
        ),
        (
            "- {event: A}" + LOOK,
            "8:10: tests[0].steps[0].event: `event` belongs to a batch; add `profile: MPID` "
            "[misplaced-key]",
        ),
        (
            "- {profile: 7, batches: a.ndjson}" + LOOK,
            "8:22: tests[0].steps[0].batches: `profile` and `batches` do not go together; make "
            "each its own step [misplaced-key]",
        ),
        (
            "- {batches: none.ndjson}" + LOOK,
            "8:19: tests[0].steps[0].batches: none.ndjson: No such file or directory; name a file "
            "of batches, relative to this one [unreadable-file]",
        ),
        (
            "- {at: noon, profile: 7}" + LOOK,
            f"8:14: tests[0].steps[0].at: `noon` is not a valid instant; {ADVICE} [bad-instant]",
        ),
        (
            "- {at: -1, profile: 7}" + LOOK,
            "8:14: tests[0].steps[0].at: the number -1 is outside the years 1970 to 9999; "
            f"{ADVICE} [bad-instant]",
        ),
        (
            "- {at: 3s, profile: 7}\n- {at: 2s, expect: {gold: []}}",
            "9:14: tests[0].steps[1].at: this is before the step before it; put the steps in "
            "order; a late event has an `occurred_at` [time-goes-back]",
        ),
        (
            "- {after: 3 days, profile: 7}" + LOOK,
            "8:17: tests[0].steps[0].after: `3 days` is not a valid duration; write durations "
            "as `3d`, or "
            "several as `3d 1ms` [bad-duration]",
        ),
        (
            "- {}" + LOOK,
            "8:9: tests[0].steps[0]: the step is empty; give it a time, a batch or an "
            "expectation [missing-key]",
        ),
        (
            "- {changes: [{add: 7, audience: gold, cause: tme}]}",
            "8:52: tests[0].steps[0].changes[0].cause: `tme` is not a valid cause; did you mean "
            "`time`? "
            "[bad-value]",
        ),
        (
            "- {changes: {gold: [{joins: 7}]}}",
            "8:27: tests[0].steps[0].changes.gold[0]: a change has one of `add` and `delete`; add "
            "`add: MPID` [missing-key]",
        ),
        (
            "- {expect: [gold]}",
            "8:18: tests[0].steps[0].expect: expected a mapping from audiences to lists of "
            "profiles, found a list [wrong-type]",
        ),
        (
            "- {at: 1s, batch: {mpid: 7, timestamp_unixtime_ms: 3}}" + LOOK,
            "8:35: tests[0].steps[0].batch.timestamp_unixtime_ms: the batch has a time of its own; "
            "leave out one of the two [misplaced-key]",
        ),
        (
            "- {profile: 7, event: A}",
            "6:5: tests[0]: the test expects nothing, so it could not fail; add a step with "
            "`expect`, `members`, `not_members` or `changes` [no-expectation]",
        ),
    ],
)
def test_a_problem_has_its_place_and_says_what_to_do(
    folder: Path, steps: str, expected: str
) -> None:
    assert expected in problems(folder, steps)


def test_all_problems_come_at_once_those_of_the_definitions_too(folder: Path) -> None:
    path = write(
        folder,
        "  - {name: a, steps: [{expect: {gold: [x]}}]}\n  - {name: a, steps: []}\n  - {steps: 3}\n",
        HEAD.replace("input: web", "inputs: web"),
    )
    (folder / "definitions.yaml").write_text("version: 2\n")
    loaded = load_suites([path])
    assert loaded.suites == ()
    assert [(p.file, p.line, p.code) for p in loaded.problems] == [
        ("definitions.yaml", 1, "missing-key"),
        ("definitions.yaml", 1, "missing-key"),
        ("definitions.yaml", 1, "bad-version"),
        ("tests/shop.yaml", 3, "unknown-key"),
        ("tests/shop.yaml", 6, "bad-value"),
        ("tests/shop.yaml", 7, "no-expectation"),
        ("tests/shop.yaml", 7, "duplicate-id"),
        ("tests/shop.yaml", 8, "missing-key"),
        ("tests/shop.yaml", 8, "wrong-type"),
    ]


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (HEAD.replace("definitions: ../definitions.yaml\n", ""), "missing-key"),
        (HEAD.replace("../definitions.yaml", "[]"), "empty-list"),
        (HEAD.replace("../definitions.yaml", "7"), "wrong-type"),
        (HEAD.replace("../definitions.yaml", "none.yaml"), "unreadable-file"),
        (HEAD.replace("version: 1", "version: 2"), "bad-version"),
        (HEAD.replace("2026-01-01", "[]"), "wrong-type"),
        (HEAD.replace("input: web", "input: wev"), "unknown-reference"),
    ],
)
def test_a_problem_of_the_head_is_one_of_the_file(folder: Path, head: str, code: str) -> None:
    loaded = load(folder, "  - {name: a, steps: [{expect: {gold: []}}]}\n", head)
    assert code in [problem.code for problem in loaded.problems]
    assert [file for file, _ in loaded.wrong] == ["tests/shop.yaml"]


def test_durations_without_a_start_have_nothing_to_count_from(folder: Path) -> None:
    head = HEAD.replace("start: 2026-01-01\n", "")
    (found,) = problems(folder, "- {at: 2h, profile: 7, expect: {gold: []}}", head)
    assert found.endswith(
        "there is nothing yet to count this duration from; give the test a `start`, or write an "
        "instant here [bad-instant]"
    )


def test_a_folder_means_its_files_and_wrong_ones_stop_no_others(folder: Path) -> None:
    path = write(folder, "  - {name: a, steps: [{expect: {gold: []}}]}\n")
    (path.parent / "broken.yaml").write_text("tests: [")
    loaded = load_suites([path.parent, "none.yaml"])
    assert [suite.file for suite in loaded.suites] == ["tests/shop.yaml"]
    assert [file for file, _ in loaded.wrong] == ["tests/broken.yaml", "none.yaml"]
    assert [found.code for found in loaded.problems] == ["unreadable-file", "bad-yaml"]
