"""`cdp test`: runs definition tests."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.text import Text

from cdp_stream.cli.options import STANDARD, output_to, warn
from cdp_stream.definition_tests.case import Suite
from cdp_stream.definition_tests.read import load_suites
from cdp_stream.definition_tests.report import FileResult, as_json, as_junit, as_text
from cdp_stream.definition_tests.run import Outcome, run_case
from cdp_stream.errors import UsageError
from cdp_stream.offline.unmatched import Unmatched

EXIT_WRONG = 1
_STYLES = {"ok": "green", "FAIL": "bold red", "-": "red", "+": "green"}


@click.command(epilog="Example: cdp test tests/paris-premium.yaml --junit results.xml")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object.")
@click.option("--junit", metavar="FILE", help="Also write the results as JUnit XML.")
def command(files: tuple[str, ...], as_object: bool, junit: str | None) -> int:
    """Run the tests of test files: given batches, expect members and changes at instants. A folder
    means its *.yaml. Exits 1 when a test fails or a file is wrong.
    """
    if as_object and junit == STANDARD:
        raise UsageError("--json and --junit - both write to standard output", "choose one of them")
    loaded = load_suites(files)
    for problem in loaded.problems:
        click.echo(str(problem), err=True)
    warn(*loaded.definitions)
    unmatched: list[Unmatched] = []
    results = [FileResult(suite.file, _run(suite, unmatched)) for suite in loaded.suites]
    results.extend(FileResult(file, (), problems) for file, problems in loaded.wrong)
    if junit is not None:
        with output_to(junit) as file:
            file.write(as_junit(results))
    if as_object:
        click.echo(json.dumps(as_json(results), indent=2, ensure_ascii=False))
    elif junit != STANDARD:
        _print(as_text(results))
    for one in unmatched:
        for line in one.lines():
            click.echo(line, err=True)
    return EXIT_WRONG if any(result.failed or result.problems for result in results) else 0


def _run(suite: Suite, unmatched: list[Unmatched]) -> tuple[Outcome, ...]:
    """Run the tests of a file; files about the same definitions share one `Unmatched`."""
    about = next((one for one in unmatched if one.plan.account == suite.plan.account), None)
    if about is None:
        about = Unmatched(suite.plan)
        unmatched.append(about)
    return tuple(run_case(case, suite.plan, about.see) for case in suite.cases)


def _print(text: str) -> None:
    """Plain where standard output is piped, coloured on a terminal."""
    if not sys.stdout.isatty():
        click.echo(text)
        return
    console = Console(highlight=False, soft_wrap=True)
    for line in text.splitlines():
        console.print(Text(line, style=_STYLES.get(line.split(maxsplit=1)[0], "")))
