"""`cdp members`: who is in an audience at an instant."""

import gzip
import io
import json
import sys
from pathlib import Path

import pytest

from cdp_stream.cli.main import main
from tests.offline.streams import DEFINITIONS, START, batch

BUYS = [batch(0), batch(3, -9), batch(5, 100), batch(5), batch(20, 8)]
EVENTS = ["--definitions", "a.yaml", "--events", "buys.ndjson"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(DEFINITIONS)
    (tmp_path / "buys.ndjson").write_bytes(b"\n".join(BUYS))
    return tmp_path


def members(*arguments: str, at: int) -> int:
    return main(["members", *arguments, "--at", str(START + at), *EVENTS])


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (-1, []),
        (4, ["-9", "7"]),
        (5, ["-9", "7", "100"]),
        (13, ["-9", "7", "100"]),
        (14, ["7", "100"]),
        (16, []),
        (20, ["8"]),
        (10**9, []),
    ],
)
def test_members_at_an_instant_in_numeric_order(
    folder: Path, capsys: pytest.CaptureFixture[str], at: int, expected: list[str]
) -> None:
    assert members("buyers", at=at) == 0
    out, err = capsys.readouterr()
    assert out.split() == expected
    assert err == ""


def test_json_says_since_when(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert members("trial/rest", "--json", at=12) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"mpid": "-9", "since": START + 3, "variant": None},
        {"mpid": "7", "since": START, "variant": None},
        {"mpid": "100", "since": START + 5, "variant": None},
    ]


def test_input_names_the_input_of_every_batch(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert members("fans", at=6) == 0
    assert members("fans", "--input", "app", at=6) == 0
    assert capsys.readouterr().out.split() == ["7"]


def test_events_come_packed_or_by_standard_input(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "buys.gz").write_bytes(gzip.compress(b"\n".join(BUYS)))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n".join([*BUYS, b"["]))))
    for events in ("buys.gz", "-"):
        at = ["--at", str(START + 14)]
        assert main(["members", "buyers", *at, *EVENTS[:3], events]) == 0
    out, err = capsys.readouterr()
    assert out.split() == ["7", "100", "7", "100"]
    assert err == "rejected 1: 1 not_json\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["buyer", "--at", "0"], "no audience or milestone `buyer`; did you mean `buyers`?"),
        (["trial/vp", "--at", "0"], "did you mean `trial/vip`?"),
        (["buyers", "--at", "0", "--input", "crm"], "there is no input `crm`"),
        (["buyers", "--at", "last"], "'last' is not an instant"),
        (["buyers"], "Missing option '--at'"),
    ],
)
def test_what_is_not_defined_is_a_usage_error(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["members", *arguments, *EVENTS]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_missing_file_is_wrong_input(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["members", "buyers", "--at", "0", *EVENTS[:3], "none"]) == 1
    assert "none: No such file" in capsys.readouterr().err


def test_a_draft_is_calculated_only_where_others_refer_to_it(folder, capsys) -> None:
    text = DEFINITIONS.replace("{id: buyers,", "{id: buyers, status: draft,")
    assert text != DEFINITIONS
    (folder / "a.yaml").write_text(text)
    assert members("buyers", at=5) == 2
    assert "`buyers` is a draft, which is checked but never calculated" in capsys.readouterr().err
    (folder / "a.yaml").write_text(
        text.replace("audiences:", "audiences:\n  - {id: again, criteria: {audience: buyers}}")
    )
    assert members("buyers", at=5) == 0


def test_a_milestone_that_no_connection_needs_is_not_computed(folder, capsys) -> None:
    text = DEFINITIONS.replace("- id: trial", "- id: trial\n    activation: by_connection")
    (folder / "a.yaml").write_text(text)
    assert members("trial/vip", at=5) == 2
    assert "no active connection needs it; connect it" in capsys.readouterr().err
    assert members("buyers", at=5) == 0
