"""Warnings: in full in `cdp check`, one line on standard error of every other command."""

import json
from pathlib import Path

import pytest

from cdp_stream.cli.main import main

DEFINITIONS = """version: 1
account: shop
workspaces:
  - {id: main, inputs: [{id: web, kind: platform}]}
audiences:
  - {id: some, criteria: {event: X}}
  - {id: more, criteria: {event: X, count: {at_least: 2}}}
"""
EVENT = {"event_type": "custom_event", "data": {"event_name": "X", "timestamp_unixtime_ms": 1000}}
LINE = (
    "shop.yaml:6:6: audiences[0].id: `some` contains `more`: at every instant the members of the"
    " second are members of the first; nothing needs to be done if that is meant [contains]"
)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop.yaml").write_text(DEFINITIONS)
    Path("events.ndjson").write_text(json.dumps({"mpid": 7, "events": [EVENT]}))


def test_check_prints_them_on_standard_output_and_exits_0(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "shop.yaml"]) == 0
    out, err = capsys.readouterr()
    first, *unconnected, summary = out.splitlines()
    assert (first, summary) == (LINE, "ok: 2 audiences, 1 workspace, 3 warnings")
    assert [line.rpartition(" ")[2] for line in unconnected] == ["[unconnected]"] * 2
    assert err == ""


def test_json_has_them_among_the_problems_with_the_containing_audience_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "shop.yaml", "--json"]) == 0
    problem, *_unconnected = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["severity"], problem["code"]) == ("warning", "contains")
    assert problem["related"] == ["some", "more"]


def members(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What a command that uses the definitions prints."""
    shared = ["--definitions", "shop.yaml", "--events", "events.ndjson"]
    assert main(["members", "some", "--at", "2000", *shared]) == 0
    out, err = capsys.readouterr()
    return out, err


def test_other_commands_only_count_them_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert members(capsys) == ("7\n", "1 warning: cdp check shows it\n")
    fading = "  - {id: old, criteria: {event: Y, when: {last: 90d}}}\n"
    Path("shop.yaml").write_text(DEFINITIONS + fading)
    assert members(capsys) == ("7\n", "2 warnings: cdp check shows them\n")


def test_accepted_warnings_are_counted_by_check_and_printed_nowhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    accept = "  - {warning: unconnected, reason: consumers read the topic}\n"
    accept += "  - {warning: contains, reason: meant so}\n"
    Path("shop.yaml").write_text(f"{DEFINITIONS}accept:\n{accept}")
    assert members(capsys) == ("7\n", "")
    assert main(["check", "shop.yaml"]) == 0
    assert capsys.readouterr().out == "ok: 2 audiences, 1 workspace, 3 accepted warnings\n"
    assert main(["check", "shop.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"problems": []}
