"""docs/commands.md names every command and every flag, and none that is not there."""

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from cdp_stream.cli.main import VERBS, cli
from tests.docs.console import ROOT

PAGE = (ROOT / "docs" / "commands.md").read_text()
SECTIONS = dict(re.findall(r"^###? cdp (.+)\n((?:(?!##).*\n?)*)", PAGE, re.MULTILINE))
_ROW = re.compile(r"^\| `(-[^`]*)`(?:, `(-[^`]*)`)? \|", re.MULTILINE)


def commands_of(group: click.Group, words: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{words}{name}", command
        if isinstance(command, click.Group):
            yield from commands_of(command, f"{words}{name} ")


COMMANDS = dict(commands_of(cli))


def flags_of(command: click.Command) -> set[str]:
    options = (p for p in command.params if isinstance(p, click.Option) and not p.hidden)
    return {name for option in options for name in option.opts}


def documented_in(text: str) -> set[str]:
    return {name.split()[0] for row in _ROW.findall(text) for name in row if name}


def test_there_is_a_section_for_every_command() -> None:
    assert set(SECTIONS) == set(COMMANDS) > set(VERBS)


@pytest.mark.parametrize("words", COMMANDS)
def test_every_flag_is_documented(words: str) -> None:
    assert documented_in(SECTIONS[words]) == flags_of(COMMANDS[words])


def test_the_flags_of_cdp_itself_are_documented() -> None:
    head = PAGE[: PAGE.index("## cdp ")]
    assert documented_in(head) == flags_of(cli) | {"-h", "--help"}


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_an_example(words: str) -> None:
    assert re.search(rf"^\$ cdp {words}\b|`[^`\n]*\bcdp {words}\b", SECTIONS[words], re.MULTILINE)
    shown = CliRunner().invoke(COMMANDS[words], ["--help"], prog_name=f"cdp {words}")
    assert shown.exit_code == 0
    assert f"cdp {words}" in shown.output.partition("Example:")[2]


def test_every_command_is_in_the_help() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    assert [verb for verb in VERBS if not re.search(rf"^  {verb} ", shown, re.MULTILINE)] == []


def test_the_defaults_in_the_tables_are_those_of_the_flags() -> None:
    wrong = []
    for words, command in COMMANDS.items():
        for option in command.params:
            if not isinstance(option, click.Option) or not option.show_default:
                continue
            rows = SECTIONS[words].splitlines()
            (row,) = (line for line in rows if line.startswith(f"| `{option.opts[0]}"))
            default = option.default
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            if f"default {shown}" not in row.replace("`", ""):
                wrong.append((words, option.opts[0], shown))
    assert wrong == []
