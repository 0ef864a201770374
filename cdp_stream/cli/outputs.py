"""`cdp outputs`: shows, pauses and resumes outputs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdp_stream.cli.options import (
    broker_option,
    instant_text,
    json_option,
    prefix_option,
    settings_of,
    together,
    unknown,
)
from cdp_stream.core.model.definition import Account
from cdp_stream.errors import UsageError, counted
from cdp_stream.settings import Settings

_MOST_LISTED = 20

if TYPE_CHECKING:
    from cdp_stream.sinks.reporting.status import OutputStatus
    from cdp_stream.sinks.state.faults import Faults
    from cdp_stream.sinks.state.sink_state import SinkState


@click.group(
    epilog="Example: cdp outputs resume crm-mail",
    help="Show the state of outputs, pause them, and resume them after a fault.",
)
def command() -> None:
    """Group the verbs."""


_shared = together(
    broker_option,
    prefix_option,
    click.option(
        "--definitions", multiple=True, metavar="FILE",
        help="Definition files, for outputs that have not run yet; repeat for several.",
    ),
)  # fmt: skip
_json = json_option("One JSON object a line.")
_connection = click.option(
    "--connection", metavar="ID", help="Only this connection of it, as <audience>@<output>."
)


@command.command("list", epilog="Example: cdp outputs list --json")
@_shared
@_json
def list_outputs(as_json: bool, **flags: Any) -> None:  # noqa: ANN401 - as click gives them
    """List outputs: status, lag, age of the oldest unsent change, rejects, fault."""
    statuses = asyncio.run(_statuses(settings_of(flags), flags["definitions"], None))
    if as_json:
        for status in statuses:
            click.echo(json.dumps(_row(status)))
        return
    console = Console()
    table = Table("output", "connector", "status", "lag", "oldest unsent", "rejected", box=None)
    for status in statuses:
        table.add_row(
            status.id, status.connector or "?", _words(status.status), f"{status.lag:,}",
            _age(status), f"{status.rejected:,}",
        )  # fmt: skip
    console.print(table)
    # Below the table, because a fault is a sentence: its column would be a word wide.
    for status in statuses:
        if status.fault is not None:
            console.print(Text(f"{status.id}: {status.fault}"))


@command.command("show", epilog="Example: cdp outputs show crm-mail")
@click.argument("output")
@_shared
@_json
def show_output(output: str, as_json: bool, **flags: Any) -> None:  # noqa: ANN401
    """Show one OUTPUT: what is stopped, since when, why, and what to do."""
    (status,) = asyncio.run(_statuses(settings_of(flags), flags["definitions"], output))
    if as_json:
        shown = _row(status) | {
            "since": status.since,
            "next_step": status.next_step,
            "connections": [asdict(connection) for connection in status.connections],
        }
        click.echo(json.dumps(shown))
        return
    click.echo(
        f"{status.id} ({status.connector or 'connector not known yet'}): {_words(status.status)}"
    )
    click.echo(f"lag: {counted(status.lag, 'record')}, the oldest waits {_age(status)}")
    if status.rejected:
        click.echo(
            f"rejected: {counted(status.rejected, 'change')}; see them with "
            f"cdp rejected --output {status.id}"
        )
    if status.since is not None:
        click.echo(f"since: {instant_text(status.since)}")
    if status.fault is not None:
        click.echo(f"fault: {status.fault}")
    for connection in status.connections:
        why = f": {connection.fault}" if connection.fault else ""
        click.echo(
            f"connection {connection.id}: {connection.status} since "
            f"{instant_text(connection.since)}{why}"
        )
    if status.next_step is not None:
        click.echo(f"to resume: {status.next_step}")


@command.command("pause", epilog="Example: cdp outputs pause crm-mail")
@click.argument("output")
@_connection
@_shared
def pause_output(output: str, connection: str | None, **flags: Any) -> None:  # noqa: ANN401
    """Stop OUTPUT, or one connection of it; its changes wait in its topic."""
    asyncio.run(_pause(settings_of(flags), flags["definitions"], output, connection))


@command.command("resume", epilog="Example: cdp outputs resume crm-mail")
@click.argument("output")
@_connection
@_shared
def resume_output(output: str, connection: str | None, **flags: Any) -> None:  # noqa: ANN401
    """Resume OUTPUT, or one connection of it, where it stopped."""
    asyncio.run(_resume(settings_of(flags), flags["definitions"], output, connection))


def _row(status: OutputStatus) -> dict[str, Any]:
    return {
        "id": status.id,
        "connector": status.connector,
        "status": status.status,
        "lag": status.lag,
        "oldest_unsent_ms": status.oldest_unsent_ms,
        "rejected": status.rejected,
        "fault": status.fault,
    }


def _words(status: str) -> str:
    return status.replace("_", " ")


def _age(status: OutputStatus) -> str:
    return f"{status.oldest_unsent_ms / 1000:,.1f} s" if status.lag else "-"


@dataclass(frozen=True, slots=True)
class _Known:
    """The known outputs and connections.

    Attributes:
        connectors: by output.
        connections: ids by output, of the definitions that were given or applied, and of those
            that its sink last ran.
        defined: outputs of the definitions that were given or applied.
        removed: outputs with a topic that are no longer defined, as far as is known.
    """

    connectors: Mapping[str, str | None]
    connections: Mapping[str, frozenset[str]]
    defined: frozenset[str]
    removed: frozenset[str]


@asynccontextmanager
async def _state(
    settings: Settings, definitions: tuple[str, ...]
) -> AsyncIterator[tuple[Faults, SinkState, _Known]]:
    from cdp_stream.kafka.topics.ensure import ensure_sink_topics
    from cdp_stream.sinks.state.topics import state_topics

    accounts: list[Account] = []
    if definitions:
        from cdp_stream.cli.options import load_account

        accounts.append(load_account(definitions)[0])
    connectors: dict[str, str | None] = {
        output.id: output.connector for account in accounts for output in account.outputs
    }
    with_topic = await ensure_sink_topics(settings)
    account = await applied_account(settings)
    applied = {} if account is None else {one.id: one.connector for one in account.outputs}
    accounts += [] if account is None else [account]
    async with state_topics(settings) as (faults, state, _):
        for output in (*applied, *with_topic, *state.outputs()):
            connectors.setdefault(output, state.connector(output) or applied.get(output))
        defined = [connection for account in accounts for connection in account.connections]
        connections = {
            output: frozenset(state.connections(output))
            | {one.id for one in defined if one.output == output}
            for output in connectors
        }
        # A worker may run other definitions than the applied ones; its sinks record them.
        removed = {output for output, connector in connectors.items() if connector is None}
        yield (
            faults,
            state,
            _Known(
                connectors,
                connections,
                frozenset(output.id for account in accounts for output in account.outputs),
                frozenset(removed if applied else ()),
            ),
        )


async def applied_account(settings: Settings) -> Account | None:
    """The newest applied definitions, if there are any that this release can read."""
    from cdp_stream.definitions.load import load_texts
    from cdp_stream.kafka.clients.client_settings import client_settings
    from cdp_stream.kafka.definitions.topic import read_applied
    from cdp_stream.kafka.topics.ensure import definitions_topic_is_there

    if not await definitions_topic_is_there(settings):
        return None
    versions = await read_applied(client_settings(settings), settings.topic("definitions"))
    files = versions[-1].record.files if versions else ()
    return load_texts((file.name, file.text) for file in files).account


async def _statuses(
    settings: Settings, definitions: tuple[str, ...], only: str | None
) -> list[OutputStatus]:
    from cdp_stream.sinks.reporting.status import GOES_ON, outputs_with_workers, read_status
    from cdp_stream.wall_clock import wall_ms

    async with _state(settings, definitions) as (faults, state, known):
        if only is not None:
            _check_known(known, only, None)
        running = await outputs_with_workers(settings, known.connectors)
        statuses = [
            await read_status(
                settings,
                output,
                faults,
                state,
                connector=connector,
                has_worker=None if running is None else output in running,
                now_ms=wall_ms(),
            )
            for output, connector in sorted(known.connectors.items())
            if only in {None, output}
        ]
    return [
        status
        for status in statuses
        if status.id == only
        or status.id not in known.removed
        or status.lag
        or status.status not in GOES_ON
    ]


async def _pause(
    settings: Settings, definitions: tuple[str, ...], output: str, connection: str | None
) -> None:
    from cdp_stream.sinks.state.faults import paused
    from cdp_stream.wall_clock import wall_ms

    async with _state(settings, definitions) as (faults, _, known):
        _check_known(known, output, connection)
        what = _named(output, connection)
        record = faults.record(connection or output)
        if record is not None:
            click.echo(f"{what} is stopped already: {record['state']}")
            return
        await faults.put(paused(output, connection, wall_ms()))
        click.echo(f"{what} is paused; its changes wait")


async def _resume(
    settings: Settings, definitions: tuple[str, ...], output: str, connection: str | None
) -> None:
    from cdp_stream.sinks.state.faults import running
    from cdp_stream.wall_clock import wall_ms

    async with _state(settings, definitions) as (faults, _, known):
        stopped = sorted(faults.stopped_connections(output))
        if connection not in stopped:
            _check_known(known, output, connection)
        what = _named(output, connection)
        if faults.record(connection or output) is None:
            hint = f"; these are stopped: {', '.join(stopped)}" if stopped else ""
            click.echo(f"{what} runs already{hint}")
            return
        await faults.put(running(output, connection, wall_ms()))
        click.echo(f"{what} resumes where it stopped")


def _named(output: str, connection: str | None) -> str:
    return f"output {output}" if connection is None else f"connection {connection}"


def _check_known(known: _Known, output: str, connection: str | None) -> None:
    if output not in known.connectors:
        raise unknown("output", output, list(known.connectors))
    if connection is None:
        return
    ids = sorted(known.connections[output])
    if connection in ids:
        return
    if not (ids or output in known.defined):
        # Its workers have definitions of their own, which no sink has recorded yet.
        if connection.endswith(f"@{output}"):
            return
        raise UsageError(
            f"connection `{connection}` does not belong to output {output}",
            f"write it as <audience>@{output}",
        )
    (near, *_) = (*get_close_matches(connection, ids, 1), None)
    asked = f"did you mean `{near}`? " if near else ""
    raise UsageError(
        f"output `{output}` has no connection `{connection}`",
        f"{asked}it has: {_listed(ids) or 'none'}",
    )


def _listed(ids: list[str]) -> str:
    more = f", and {len(ids) - _MOST_LISTED:,} more" if len(ids) > _MOST_LISTED else ""
    return ", ".join(ids[:_MOST_LISTED]) + more
