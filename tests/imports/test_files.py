"""Whole files: what is printed, and that our own reader takes it."""

import json
import re
from pathlib import Path

import pytest
import yaml

from cdp_stream.cli.main import main
from cdp_stream.definitions import load_files
from cdp_stream.definitions.source.nodes import Mapping, Node, Scalar, Sequence
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.definitions.source.yaml_reader import parse
from cdp_stream.imports.convert import Converted
from cdp_stream.imports.write import Frame, written
from tests.offline.replaying import replay_batches

FILES = Path(__file__).parent / "audience_sdk"
RIGHT = sorted(path.stem for path in FILES.glob("*.yaml"))


def test_every_file_is_here_with_what_becomes_of_it() -> None:
    assert {path.stem for path in FILES.glob("*.json")} == {*RIGHT, "nothing", "wrong"}


@pytest.mark.parametrize("name", RIGHT)
def test_a_file_becomes_the_one_beside_it(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FILES)
    arguments = ["--audience", "4711=vips", "--audience", "4712=trial/paid"]
    assert main(["import", "audience-sdk", f"{name}.json", *arguments]) == 0
    out, err = capsys.readouterr()
    assert out == (FILES / f"{name}.yaml").read_text()
    comments = re.findall(r"^# ((?:left out|read as): .*)$", out, re.MULTILINE)
    assert err.splitlines() == comments


@pytest.mark.parametrize("name", [name for name in RIGHT if name != "audiences"])
def test_what_was_written_has_no_error(name: str) -> None:
    loaded = load_files([FILES / f"{name}.yaml"])
    assert loaded.errors == []
    assert loaded.account is not None
    assert loaded.account.audiences[0].emits is (name != "left-out")


def test_references_are_fine_where_the_audiences_are(tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text(
        "version: 1\n"
        "audiences: [{id: vips, criteria: {event: any}}]\n"
        "journeys: [{id: trial, milestones: [{id: paid, criteria: {event: any}}]}]\n"
    )
    assert load_files([FILES / "audiences.yaml", tmp_path / "ours.yaml"]).errors == []


def test_an_imported_audience_means_what_it_did() -> None:
    hour = 3_600_000
    text = (FILES / "rows.yaml").read_text()
    batches = [
        {
            "mpid": 7,
            "timestamp_unixtime_ms": hour,
            "events": [
                {
                    "event_type": "custom_event",
                    "data": {"event_name": "sign up", "custom_event_type": "other"},
                }
            ],
        },
        {
            "mpid": 7,
            "timestamp_unixtime_ms": 2 * hour,
            "events": [{"event_type": "screen_view", "data": {"screen_name": "Pricing"}}],
        },
    ]
    lines = [json.dumps(batch).encode() for batch in batches]
    until = 31 * 24 * hour
    changes = [(c["action"], c["effective_at"]) for c in replay_batches(text, lines, until)]
    assert changes == [("add", 2 * hour), ("delete", 30 * 24 * hour + hour + 1)]


TEXTS = [
    *("on", "yes", "no", "y", "True", "true", "null", "~", "", "0o17", "0x1F", "010", "1e5", ".5"),
    *("12:30", "2024-01-01", "1_000", "a: b", "a #b", "- a", "#", "*", "&x", "!x", "@x", "%", "[a"),
    *("{a", "'", '"', "a'b", "\\", "\t", "line\nbreak", " padded ", "\u2028", "é", "😀", "9" * 401),
]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_is_read_back_as_it_was(text: str) -> None:
    converted = Converted({"user_attribute": text, "one_of": [text, 1, 1.5, 1e22, True]})
    frame = Frame("acme", "main", "a", "a.json\n# b")
    problems = Problems()
    document = parse(written(converted, frame).encode(), "a.yaml", problems)
    assert problems.found == []
    assert document is not None
    (audience,) = plain(document)["audiences"]
    assert audience["criteria"] == converted.criteria


def plain(node: Node) -> object:
    if isinstance(node, Mapping):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    assert isinstance(node, Scalar)
    return node.value


def test_bare_leaves_out_what_the_account_has(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FILES)
    flags = ["--bare", "--id", "seats", "--workspace", "travel"]
    assert main(["import", "audience-sdk", "one-attribute.json", *flags]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == {
        "version": 1,
        "audiences": [
            {
                "id": "seats",
                "workspaces": ["travel"],
                "criteria": {"user_attribute": "seats", "at_least": 3},
            }
        ],
    }
