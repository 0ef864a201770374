"""`cdp explain`: why a profile is in an audience, or is not."""

import json
from pathlib import Path

import pytest

from cdp_stream.cli.main import main
from tests.offline.streams import DEFINITIONS, START, batch

BUYS = [batch(0), batch(3, -9), batch(5, 100), batch(5), b"[", batch(20, 8)]
EVENTS = ["--definitions", "a.yaml", "--events", "buys.ndjson"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(DEFINITIONS)
    (tmp_path / "buys.ndjson").write_bytes(b"\n".join(BUYS))
    return tmp_path


def test_the_text_says_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "buyers", "7", "--at", str(START + 5), *EVENTS]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "buyers, profile 7, at 2023-11-14T22:13:20.005Z: a member, until 2023-11-14T22:13:20.016Z",
        "yes  event: Buy (at least 1, in the last 10ms)",
        "       - 2023-11-14T22:13:20Z Buy (1 of at least 1)",
        "       - 2023-11-14T22:13:20.005Z Buy (2 of at least 1)",
        "       - becomes no by itself at 2023-11-14T22:13:20.016Z",
    ]
    assert err == "rejected 1: 1 not_json\n"


def test_json_is_one_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["trial/rest", "100", "--json", "--at", str(START + 12), *EVENTS]
    assert main(["explain", *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["audience_id"], found["mpid"], found["member"]) == ("trial/rest", "100", True)
    assert found["at"] == START + 12
    assert found["tree"]["value"] is True
    assert found["tree"]["next_change_at"] == START + 5 + 30 * 86_400_000 + 1


@pytest.mark.parametrize("words", [["buyers", "-9"], ["--json", "buyers", "-9"]])
def test_a_profile_id_may_be_negative(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["explain", *words, "--at", str(START + 4), *EVENTS]) == 0
    assert "-9" in capsys.readouterr().out
    assert main(["explain", "--at", str(START + 4), *EVENTS, "--", "buyers", "-9"]) == 0
    assert "profile -9, at 2023-11-14T22:13:20.004Z: a member" in capsys.readouterr().out


def test_a_profile_without_history_is_no_member(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "buyers", "12", "--at", str(START), "--json", *EVENTS]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["member"] is False
    assert err.splitlines()[0] == "profile 12 is not known at 2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["buyer", "7", "--at", "0"], "no audience or milestone `buyer`; did you mean `buyers`?"),
        (["buyers", "seven", "--at", "0"], "'seven' is not a valid profile id"),
        (["buyers", str(2**63), "--at", "0"], "is not a valid profile id; write a 64-bit integer"),
        (["buyers", "7", "--at", "0", "--input", "crm"], "there is no input `crm`"),
        (["buyers", "7", "--at", "-5"], "'-5' is not an instant"),
        (["buyers", "7"], "Missing option '--at'"),
        (["buyers", "--at", "0"], "Missing argument 'MPID'"),
    ],
)
def test_what_is_not_defined_is_a_usage_error(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["explain", *arguments, *EVENTS]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
