"""`cdp replay`: flags, what goes where, exit codes."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cdp_stream.cli.main import main
from tests.offline.streams import DEFINITIONS, START, batch, changes_of

BUYS = [batch(0), batch(3, -9), batch(5), batch(20, 8)]
CHANGES = [
    ("add", "buyers", "7", 0),
    ("add", "trial/rest", "7", 0),
    ("add", "buyers", "-9", 3),
    ("add", "trial/rest", "-9", 3),
    ("delete", "buyers", "-9", 14),
    ("delete", "buyers", "7", 16),
    ("add", "buyers", "8", 20),
    ("add", "trial/rest", "8", 20),
]
UNMATCHED = (
    "no batch had the user attribute `status` (used in `trial/vip`)\n"
    "`event: Buy` was received 4 times, only by inputs and tiers that are not read"
    " (used in `fans`)\n"
)
REPLAY = ["replay", "--definitions", "a.yaml", "--events"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(DEFINITIONS)
    (tmp_path / "buys.ndjson").write_bytes(b"\n".join(BUYS))
    return tmp_path


def changes_in(text: str) -> list[tuple[str, str, str, int]]:
    return changes_of([json.loads(line) for line in text.splitlines()])


def test_changes_go_to_standard_output_and_what_matched_nothing_to_standard_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*REPLAY, "buys.ndjson"]) == 0
    out, err = capsys.readouterr()
    assert changes_in(out) == CHANGES
    assert err == UNMATCHED


def test_out_names_a_file_for_the_changes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*REPLAY, "buys.ndjson", "--out", "changes.ndjson"]) == 0
    assert capsys.readouterr().out == ""
    assert changes_in((folder / "changes.ndjson").read_text()) == CHANGES


def test_a_packed_file_is_unpacked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "buys.ndjson.gz").write_bytes(gzip.compress(b"\r\n".join(BUYS)))
    assert main([*REPLAY, "buys.ndjson.gz"]) == 0
    assert changes_in(capsys.readouterr().out) == CHANGES


@pytest.mark.parametrize("end", [["last"], []])
def test_last_is_the_greatest_arrival(
    folder: Path, capsys: pytest.CaptureFixture[str], end: list[str]
) -> None:
    assert main([*REPLAY, "buys.ndjson", *(["--until", *end] if end else [])]) == 0
    assert changes_in(capsys.readouterr().out) == CHANGES


@pytest.mark.parametrize(
    ("end", "count"),
    [
        (str(START + 13), 4),
        (str(START + 14), 5),
        ("2023-11-14T22:13:20.016Z", 6),
        ("2023-11-14T22:13:20.016", 6),
        ("2023-11-15", 9),
        ("2023-11-14", 0),
    ],
)
def test_batches_after_until_are_not_read_and_time_runs_on_to_it(
    folder: Path, capsys: pytest.CaptureFixture[str], end: str, count: int
) -> None:
    assert main([*REPLAY, "buys.ndjson", "--until", end]) == 0
    found = changes_in(capsys.readouterr().out)
    assert found == [*CHANGES, ("delete", "buyers", "8", 31)][:count]


def test_audience_keeps_the_named_ones_with_their_ordinals(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*REPLAY, "buys.ndjson", "--audience", "trial/rest", "--audience", "fans"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["audience_id"] for line in lines} == {"trial/rest"}
    assert [line["ordinal"] for line in lines] == [1, 1, 1]


def test_input_names_the_input_of_every_batch(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*REPLAY, "buys.ndjson", "--input", "app", "--audience", "fans"]) == 0
    assert changes_in(capsys.readouterr().out) == [("add", "fans", "7", 5)]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--audience", "buyer"], "no audience or milestone `buyer`; did you mean `buyers`?"),
        (["--audience", "trial"], "there is no audience or milestone `trial`; "),
        (["--input", "wbe"], "there is no input `wbe`; did you mean `web`?"),
        (["--until", "soon"], "'soon' is not an instant; write 2018-09-09T13:00:00Z"),
        (["--untli", "last"], "No such option: --untli"),
    ],
)
def test_what_is_not_defined_is_a_usage_error_with_a_hint(
    folder: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert main([*REPLAY, "buys.ndjson", *flags]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_missing_file_is_wrong_input(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*REPLAY, "none.ndjson"]) == 1
    assert capsys.readouterr().err == (
        "cdp: none.ndjson: No such file or directory; check the path given with --events\n"
    )


def test_definitions_with_problems_are_wrong_input(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.yaml").write_text(DEFINITIONS.replace("event: Buy", "evnt: Buy"))
    assert main([*REPLAY, "buys.ndjson"]) == 1
    err = capsys.readouterr().err.splitlines()
    assert err[0].startswith("a.yaml:9:")
    assert (
        err[-1]
        == "cdp: the definitions have 2 problems; correct the problems above, then run it again"
    )


def test_a_file_that_cannot_be_written_is_an_outside_failure(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*REPLAY, "buys.ndjson", "--out", "no/such/folder"]) == 3
    assert "no/such/folder: cannot be written" in capsys.readouterr().err


def test_a_damaged_file_is_an_outside_failure(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "cut.gz").write_bytes(gzip.compress(b"\n".join(BUYS))[:-9])
    assert main([*REPLAY, "cut.gz"]) == 3
    assert "cut.gz: cannot be read on" in capsys.readouterr().err


def test_rejected_lines_are_counted_and_handed_back(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = b'{"mpid":7,\xff'
    bad = BUYS[0].replace(b'"custom_event"', b'"custom"')
    (folder / "mixed.ndjson").write_bytes(b"\n".join([BUYS[0], broken, b"", bad, *BUYS[1:]]))
    assert main([*REPLAY, "mixed.ndjson", "--rejected", "rejected.ndjson"]) == 0
    out, err = capsys.readouterr()
    assert changes_in(out) == CHANGES
    assert err == "rejected 2: 1 bad_event, 1 not_json\n" + UNMATCHED
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in (folder / "rejected.ndjson").read_text().splitlines()
    ]
    assert [list(line) for line in lines] == [["line", "reason", "detail", "value"]] * 2
    assert [(line["line"], line["reason"]) for line in lines] == [(2, "not_json"), (4, "bad_event")]
    assert lines[0]["value"] == '{"mpid":7,\ufffd'
    assert lines[1]["value"] == bad.decode()
    assert lines[1]["detail"].startswith("$.events[0].event_type: ")


def test_a_profile_stops_growing_where_the_setting_says(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = {f"note {n}": "x" * 4_000 for n in range(5)}
    line = json.dumps({**json.loads(batch(1)), "user_attributes": notes})
    (folder / "large.ndjson").write_text(line)
    assert main([*REPLAY, "large.ndjson", "--rejected", "rejected.ndjson"]) == 0
    assert (folder / "rejected.ndjson").read_text() == ""
    monkeypatch.setenv("CDP_PROFILE_SIZE", "16")
    assert main([*REPLAY, "large.ndjson", "--rejected", "rejected.ndjson"]) == 0
    (rejected,) = (folder / "rejected.ndjson").read_text().splitlines()
    assert json.loads(rejected)["detail"] == "$: expected at most 16384 bytes of profile"
    monkeypatch.setenv("CDP_PROFILE_SIZE", "8")
    assert main([*REPLAY, "large.ndjson"]) == 2
    assert "profile_size" in capsys.readouterr().err


def test_standard_input_is_read_and_piped_output_has_no_progress(
    folder: Path,
) -> None:
    command = [sys.executable, "-m", "cdp_stream", *REPLAY, "-", "--rejected", "rejected.ndjson"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        out, err = process.communicate(b"\n".join([*BUYS, b"no"]), timeout=60)
        assert process.returncode == 0
    assert changes_in(out.decode()) == CHANGES
    assert err.decode() == "rejected 1: 1 not_json\n" + UNMATCHED
