"""What people see: colours, and lines that fit."""

from pathlib import Path

import click
import pytest

from tests.cli.terminals import on_terminal
from tests.docs.console import ROOT

BAD = """version: 1
account: shop
workspaces:
  - {id: main, inputs: [{id: web, kind: platform}]}
audiences:
  - {id: buyers, criteria: {user_attribute: status, contain: x}}
  - {id: others, criteria: {all: [{event: X}, {not: {event: X}}]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bad.yaml").write_text(BAD)
    return tmp_path


def test_on_a_terminal_check_has_colours_and_breaks_lines_between_words(folder: Path) -> None:
    code, shown = on_terminal("check", "bad.yaml", columns=60, cwd=folder)
    assert code == 1
    assert "\x1b[31m[bad-operator]\x1b[0m" in shown
    assert "\x1b[33m[never-true]\x1b[0m" in shown
    lines = click.unstyle(shown).splitlines()
    assert lines[:3] == [
        "bad.yaml:6:53: audiences[0].criteria.contain",
        "  unknown operator `contain`; did you mean `contains`?",
        "  [bad-operator]",
    ]
    assert max(map(len, lines)) <= 60


def test_a_problem_that_fits_stays_on_its_line(folder: Path) -> None:
    _, shown = on_terminal("check", "bad.yaml", columns=200, cwd=folder)
    assert click.unstyle(shown).splitlines()[0] == (
        "bad.yaml:6:53: audiences[0].criteria.contain: unknown operator `contain`; did you mean"
        " `contains`? [bad-operator]"
    )


def test_with_no_color_there_are_no_colours(folder: Path) -> None:
    code, shown = on_terminal("check", "bad.yaml", columns=60, cwd=folder, NO_COLOR="1")
    assert code == 1
    assert "\x1b" not in shown


def test_an_explanation_fits_on_sixty_columns() -> None:
    travel = "examples/travel"
    code, shown = on_terminal(
        "explain", "paris-premium", "101", "--at", "2018-09-04T12:00:00Z",
        "--definitions", f"{travel}/definitions.yaml", "--events", f"{travel}/batches.ndjson",
        columns=60, cwd=ROOT,
    )  # fmt: skip
    assert code == 0
    explained = shown.rpartition("\x1b[2K")[2]  # behind the progress, which is gone
    assert "event: Play Video" in explained
    assert max(map(len, explained.splitlines())) <= 60
