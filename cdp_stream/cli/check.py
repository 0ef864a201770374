"""``cdp check``: every problem of definition files, and every warning, in one run."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from shutil import get_terminal_size
from textwrap import wrap

import click

from cdp_stream.cli.options import json_option, read_files
from cdp_stream.core.model.definition import Account
from cdp_stream.definitions import Loaded, Problem, Severity
from cdp_stream.errors import counted

__all__ = ["command", "report", "summary", "with_warnings"]

EXIT_WRONG = 1


@click.command(
    "check",
    help="Check definition files and print every problem: file, line, column, what is wrong and "
    "how to correct it. A folder means its *.yaml. Exits 1 when there is an error; warnings "
    "alone exit 0.\n\nExample: cdp check definitions/",
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@json_option("Print one JSON object.")
def command(files: tuple[str, ...], as_json: bool) -> int:
    """Check the files and print the problems; return the exit code."""
    loaded = with_warnings(read_files(files))
    if as_json or not sys.stdout.isatty():
        click.echo(report(loaded, as_json))
    else:
        click.echo(on_terminal(loaded, get_terminal_size().columns))
    return EXIT_WRONG if loaded.errors else 0


def with_warnings(loaded: Loaded) -> Loaded:
    """The same with the warnings among the problems, accepted ones too."""
    from cdp_stream.lint import warnings_of

    found = [*loaded.problems, *warnings_of(loaded)]
    found.sort(key=lambda problem: (problem.file, problem.line, problem.column))
    return replace(loaded, problems=found)


def report(loaded: Loaded, as_json: bool) -> str:
    """A line for each problem and a summary, or the JSON object; without accepted warnings."""
    shown = [problem for problem in loaded.problems if problem.accepted is None]
    if as_json:
        problems = [problem.as_json() for problem in shown]
        return json.dumps({"problems": problems}, indent=2, ensure_ascii=False)
    return "\n".join([*map(str, shown), summary(loaded)])


def on_terminal(loaded: Loaded, width: int) -> str:
    """The same text for a terminal of `width` characters. A problem that is too long for a line
    has its place on one line and its message below.
    """
    lines: list[str] = []
    for problem in loaded.problems:
        if problem.accepted is None:
            lines += _printed(problem, width)
    colour = "green" if not loaded.errors else "red"
    return "\n".join([*lines, click.style(summary(loaded), fg=colour)])


def _printed(problem: Problem, width: int) -> Iterator[str]:
    colour = "red" if problem.severity is Severity.ERROR else "yellow"
    place, code = f"{problem.file}:{problem.line}:{problem.column}:", f"[{problem.code}]"
    if len(line := str(problem)) <= width:
        text = line.removeprefix(place).removesuffix(code)
        yield click.style(place, bold=True) + text + click.style(code, fg=colour)
        return
    yield click.style(f"{place} ", bold=True) + click.style(problem.path, dim=True)
    advice = "" if problem.suggestion is None else f"; {problem.suggestion}"
    *above, last = wrap(
        f"{problem.message}{advice} {code}", width, initial_indent="  ", subsequent_indent="  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    yield from above
    yield last.removesuffix(code) + click.style(code, fg=colour)


def summary(loaded: Loaded) -> str:
    """The last line: the numbers of problems and files, or what the files define."""
    errors = len(loaded.errors)
    accepted = sum(problem.accepted is not None for problem in loaded.problems)
    warnings = len(loaded.problems) - errors - accepted
    parts = []
    if errors or loaded.account is None:
        parts.append(counted(errors, "problem"))
    if warnings:
        parts.append(counted(warnings, "warning"))
    if accepted:
        parts.append(counted(accepted, "accepted warning"))
    if loaded.account is not None:
        parts.insert(0, f"ok: {_contents(loaded.account)}")
        return ", ".join(parts)
    files = len({problem.file for problem in loaded.problems if problem.accepted is None})
    return f"{' and '.join(parts)} in {counted(files, 'file')}"


def _contents(account: Account) -> str:
    milestones = [audience.id for audience in account.audiences if "/" in audience.id]
    journeys = len({name.partition("/")[0] for name in milestones})
    parts = [counted(len(account.audiences) - len(milestones), "audience")]
    if journeys:
        milestone_count = counted(len(milestones), "milestone")
        parts.append(f"{counted(journeys, 'journey')} with {milestone_count}")
    parts.append(counted(len(account.workspaces), "workspace"))
    return ", ".join(parts)
