"""`cdp plan` and `cdp apply` as people and scripts see them; on brokers: tests/topologies."""

import io

import click
import pytest

from cdp_stream.cli.applying import Planned, as_text
from cdp_stream.cli.main import main
from cdp_stream.definitions.changes import DefinitionChange
from cdp_stream.settings import Settings

WRONG = """\
version: 1
account: a
workspaces: [{id: w, inputs: [{id: web, kind: platform}]}]
audiences:
  - {id: fans, criteria: {audience: players}}
  - {id: others, criteria: {audience: players}}
"""


def text(*changes, version=3, members=None):
    return as_text(Planned(Settings(), "acme", None, version, list(changes), members))


def test_each_change_is_a_line_that_says_what_it_does():
    told = text(
        DefinitionChange("audience", "lisbon", "add", True),
        DefinitionChange("audience", "paris", "change", True, ("criteria", "name")),
        DefinitionChange("milestone", "trial/paid", "change", True),
        DefinitionChange("milestone", "trial/old", "change", False, (), stops=True),
        DefinitionChange("audience", "named", "change", False, ("tags",)),
        DefinitionChange("connection", "paris@crm", "change", False, ("status",), stops=True),
        DefinitionChange("audience", "rome", "remove", False),
        DefinitionChange("input", "web", "remove", False),
    )
    lines = told.splitlines()
    assert lines[0] == "Account acme: version 3 is applied."
    for place, end in enumerate(
        (
            "calculated from history",
            "criteria, name; recalculated",
            "recalculated: what it depends on changes",
            "it stops: no active connection needs it, and its members leave it",
            "tags",
            "status; it stops: its output receives no more changes of it",
            "its members leave it",
        ),
        start=2,
    ):
        assert lines[place].endswith(end)
    assert lines[-1] == "Plan: 1 to add, 5 to change, 2 to remove; 3 to recalculate."


def test_what_a_field_was_and_is_is_shown_below_its_definition():
    values = {"name": ("Paris", None), "criteria": ({"event": "A"}, {"event": "B"})}
    told = text(
        DefinitionChange("audience", "paris", "change", True, tuple(values), values=values),
        DefinitionChange("audience", "rome", "remove", False),
        DefinitionChange("audience", "oslo", "add", True),
        DefinitionChange("connection", "trial/paid#A@crm", "change", False, ("settings",)),
        members={"paris": 1, "trial/paid": 1_204},
    )
    assert click.unstyle(told).splitlines()[2:-2] == [
        "  ~ audience    paris             name, criteria; recalculated; 1 member now",
        "      name: Paris -> (not set)",
        "      criteria:",
        "      - {event: A}",
        "      + {event: B}",
        "  - audience    rome              its members leave it; 0 members now",
        "  + audience    oslo              calculated from history",
        "  ~ connection  trial/paid#A@crm  settings; 1,204 members now",
    ]


@pytest.mark.parametrize("words", [["plan", "FILE"], ["plan"], ["plan", "FILE", "--nonsense"]])
def test_with_a_detailed_exitcode_every_error_is_1(words, tmp_path, capsys):
    (file := tmp_path / "a.yaml").write_text(WRONG.partition("audiences")[0])
    words = [str(file) if word == "FILE" else word for word in words]
    assert main([*words, "--broker", "nowhere.invalid:9"]) in (2, 3)
    assert main([*words, "--broker", "nowhere.invalid:9", "--detailed-exitcode"]) == 1


def test_no_change_is_reported():
    assert text() == "Account acme: version 3 is applied.\nNothing to change."
    assert text(version=0).startswith("Account acme: nothing is applied yet.")


@pytest.mark.parametrize("command", [["plan"], ["apply", "--yes"]])
def test_all_problems_come_before_anything_is_asked_of_kafka(command, tmp_path, capsys):
    (file := tmp_path / "a.yaml").write_text(WRONG)
    assert main([*command, str(file), "--broker", "nowhere.invalid:9"]) == 1
    told = capsys.readouterr().err
    assert told.count("there is no audience or milestone `players`") == 2
    assert "`players` cannot be left out: `fans`, `others` refer to it\n" in told
    assert "the definitions have 2 problems" in told


def test_without_a_terminal_apply_requires_the_flag(tmp_path, capsys, monkeypatch):
    (file := tmp_path / "a.yaml").write_text(WRONG)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert main(["apply", str(file)]) == 2
    assert "--yes" in capsys.readouterr().err
