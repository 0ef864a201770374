"""Flags that several commands share, and how their values are read."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from cdp_stream.core.model.definition import Account
from cdp_stream.core.model.operators import instant_of
from cdp_stream.core.plan.build import build_plan, calculated_audiences
from cdp_stream.core.plan.plan import Plan
from cdp_stream.definitions import Loaded, load_files
from cdp_stream.definitions.source.durations import DURATION_ADVICE, duration_ms
from cdp_stream.definitions.source.problems import Severity
from cdp_stream.errors import DiskError, InputError, UsageError, counted
from cdp_stream.formats.definitions_record import DefinitionFile
from cdp_stream.settings import Settings, load_secret_names, load_settings, row_limit

LAST = "last"
NOW = "now"
STANDARD = "-"
"""The name of standard input or output as a file."""
SETTINGS_FILE = Path("cdp.toml")


class Instant(click.ParamType):
    """An instant: ISO 8601 (no zone: UTC), epoch ms or `now`; its value is epoch ms."""

    name = "ISO8601"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read the flag; a usage error if it is not an instant."""
        if isinstance(value, int):
            return value
        instant = time.time_ns() // 1_000_000 if value == NOW else instant_of(value)
        if instant is None:
            self.fail(
                f"{value!r} is not an instant; write 2018-09-09T13:00:00Z, a date, epoch "
                "milliseconds, or `now`",
                param,
                ctx,
            )
        return instant


class Duration(click.ParamType):
    """A duration, as `30s`; its value is milliseconds."""

    name = "DURATION"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read the flag; a usage error if it is not a duration."""
        length = value if isinstance(value, int) else duration_ms(str(value))
        if not length:
            self.fail(f"{value!r} is not a duration; {DURATION_ADVICE}", param, ctx)
        return length


class InstantOrLast(click.ParamType):
    """An instant, or `last`, whose value is None."""

    name = "ISO8601|last"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Read the flag; a usage error if it is neither."""
        return None if value == LAST else Instant().convert(value, param, ctx)


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

with_default = partial(click.option, show_default=True)
"""A flag whose help shows its default."""


def whole_number(
    flag: str, what: str, *, default: int, least: int = 0, most: int | None = None
) -> Decorator:
    """A flag with a whole number within bounds, both included."""
    return with_default(flag, type=click.IntRange(least, most), default=default, help=what)


definitions_option: Decorator = click.option(
    "--definitions", multiple=True, required=True, metavar="FILE",
    help="A definition file, or a folder of *.yaml; repeat for several.",
)  # fmt: skip
events_option: Decorator = click.option(
    "--events", required=True, metavar="FILE",
    help="Event batches, one JSON object a line; .gz is decompressed, - is standard input.",
)  # fmt: skip
input_option: Decorator = click.option(
    "--input", "input_id", metavar="ID", help="The input of every batch, as a header would name it."
)
broker_option: Decorator = click.option(
    "--broker", metavar="HOST:PORT,...", help="Kafka's addresses.  [default: localhost:9092]"
)
prefix_option: Decorator = click.option(
    "--prefix", metavar="NAME", help="Prefix of topics and consumer groups.  [default: cdp]"
)


def json_option(what: str) -> Decorator:
    """`--json`, with what it prints."""
    return click.option("--json", "as_json", is_flag=True, help=what)


def together(*decorators: Decorator) -> Decorator:
    """Several flags and arguments as one decorator, in the order in which the help has them."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def settings_of(flags: Mapping[str, Any]) -> Settings:
    """The settings with `--broker` and `--prefix` of a command.

    Raises:
        UsageError: settings are wrong, or do not agree.
    """
    given = {name: flags[name] for name in ("broker", "prefix")}
    return load_settings(given, os.environ, SETTINGS_FILE)[0]


def load_plan(definitions: tuple[str, ...]) -> Plan:
    """The plan of definition files; the number of warnings is printed on standard error.

    Raises:
        InputError: the definitions have problems; they are printed to standard error first.
    """
    return build_plan(load_account(definitions)[0])


def read_files(paths: Iterable[str | Path]) -> Loaded:
    """Definition files, read with the variables that operators allow here.

    Raises:
        UsageError: the setting `secret_names` is invalid.
    """
    return load_files(list(paths), load_secret_names(os.environ, SETTINGS_FILE))


def load_account(definitions: tuple[str, ...]) -> tuple[Account, Loaded]:
    """The account of definition files, and what was read; the number of warnings is printed on
    standard error.

    Raises:
        InputError: the definitions have problems; they are printed to standard error first.
        UsageError: the setting `profile_size` is invalid.
    """
    loaded = read_files(definitions)
    limit = row_limit(os.environ, SETTINGS_FILE)
    return replace(accepted(loaded), row_limit=limit), loaded


def accepted(loaded: Loaded) -> Account:
    """The account of what was read; the number of warnings is printed on standard error.

    Raises:
        InputError: the definitions have problems; they are printed to standard error first.
    """
    for problem in loaded.problems:
        click.echo(str(problem), err=True)
    if loaded.account is None:
        errors = sum(problem.severity is Severity.ERROR for problem in loaded.problems)
        raise InputError(
            f"the definitions have {counted(errors, 'problem')}",
            "correct the problems above, then run it again",
        )
    warn(loaded)
    return loaded.account


def files_of(loaded: Loaded) -> list[DefinitionFile]:
    """The files that were read, if none has an error."""
    return [
        DefinitionFile(name, text) for name, text in zip(loaded.files, loaded.texts, strict=True)
    ]


def warn(*read: Loaded) -> None:
    """Print the number of warnings about definitions, if any, in one line on standard error.

    Accepted ones do not count, nor, without outputs, those about audiences without a connection.
    """
    from cdp_stream.lint import warnings_of

    number = 0
    for loaded in read:
        has_outputs = loaded.account is not None and loaded.account.outputs
        number += sum(
            warning.accepted is None and (bool(has_outputs) or warning.code != "unconnected")
            for warning in warnings_of(loaded)
        )
    if number:
        them = "it" if number == 1 else "them"
        click.echo(f"{counted(number, 'warning')}: cdp check shows {them}", err=True)


def known_audience(plan: Plan, audience_id: str) -> str:
    """The id, if the plan has that audience or milestone.

    Raises:
        UsageError: it does not, and a similar id is suggested; or it is not calculated.
    """
    known = [audience.id for audience in plan.audiences]
    if any(one.id == audience_id and not one.computed for one in plan.account.audiences):
        raise UsageError(
            f"`{audience_id}` is not computed: its journey is activated `by_connection`, and no "
            "active connection needs it",
            "connect it, or write `activation: always`",
        )
    if audience_id in known and audience_id not in calculated_audiences(plan.account.audiences):
        raise UsageError(
            f"`{audience_id}` is a draft, which is checked but never calculated",
            "delete its `status: draft`",
        )
    if audience_id not in known:
        raise unknown("audience or milestone", audience_id, known)
    return audience_id


def known_input(plan: Plan, input_id: str | None) -> None:
    """Check the value of `--input`.

    Raises:
        UsageError: the plan has no such input; a similar id is suggested.
    """
    if input_id is not None and input_id not in plan.inputs:
        raise unknown("input", input_id, list(plan.inputs))


def unknown(kind: str, name: str, known: list[str]) -> UsageError:
    """The error that something named does not exist; a similar name is suggested."""
    near = get_close_matches(name, known, 1)
    hint = (
        f"did you mean `{near[0]}`?"
        if near
        else f"defined are: {', '.join(sorted(known)[:20]) or 'none'}"
    )
    return UsageError(f"there is no {kind} `{name}`", hint)


def instant_text(instant: int) -> str:
    """An instant as ISO 8601 in UTC with milliseconds, for people."""
    seconds, milliseconds = divmod(instant, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


@contextmanager
def bytes_progress(title: str, total: int | None) -> Iterator[Callable[[int], None] | None]:
    """A progress bar on a terminal; None (and silence) when standard error is piped."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def output_to(path: str | None) -> Iterator[IO[bytes]]:
    """A file to write to; standard output for `-` and for None.

    Raises:
        DiskError: it cannot be written.
    """
    if path in (None, STANDARD):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with Path(path).open("wb") as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DiskError(
            f"{path}: cannot be written: {error.strerror}", "choose another file"
        ) from error
