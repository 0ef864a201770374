"""docs/commands.md names every command and every flag, and none that is not there."""

import re

import click
import pytest
from click.testing import CliRunner

from cdp_stream.cli.main import VERBS, cli
from tests.docs.console import ROOT

PAGE = (ROOT / "docs" / "commands.md").read_text()
SECTIONS = dict(re.findall(r"^## cdp (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M))
_ROW = re.compile(r"^\| `(-[^`]*)`(?:, `(-[^`]*)`)? \|", re.MULTILINE)


def command_of(verb: str) -> click.Command:
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    return command


def flags_of(command: click.Command) -> set[str]:
    options = (p for p in command.params if isinstance(p, click.Option) and not p.hidden)
    return {name for option in options for name in option.opts}


def documented_in(text: str) -> set[str]:
    return {name.split()[0] for row in _ROW.findall(text) for name in row if name}


def test_there_is_a_section_for_every_command() -> None:
    assert set(SECTIONS) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_is_documented(verb: str) -> None:
    assert documented_in(SECTIONS[verb]) == flags_of(command_of(verb))


def test_the_flags_of_cdp_itself_are_documented() -> None:
    head = PAGE[: PAGE.index("## cdp ")]
    assert documented_in(head) == flags_of(cli) | {"-h", "--help"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_an_example(verb: str) -> None:
    assert re.search(rf"^\$ cdp {verb}\b|`[^`\n]*\bcdp {verb}\b", SECTIONS[verb], re.M)
    shown = CliRunner().invoke(command_of(verb), ["--help"], prog_name=f"cdp {verb}")
    assert shown.exit_code == 0
    assert f"cdp {verb}" in shown.output.partition("Example:")[2]


def test_every_command_is_in_the_help() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    assert [verb for verb in VERBS if not re.search(rf"^  {verb} ", shown, re.M)] == []


def test_the_defaults_in_the_tables_are_those_of_the_flags() -> None:
    wrong = []
    for verb in VERBS:
        for option in command_of(verb).params:
            if not isinstance(option, click.Option) or not option.show_default:
                continue
            (row,) = (
                r for r in SECTIONS[verb].splitlines() if r.startswith(f"| `{option.opts[0]}")
            )
            default = option.default
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            if f"default {shown}" not in row.replace("`", ""):
                wrong.append((verb, option.opts[0], shown))
    assert wrong == []
