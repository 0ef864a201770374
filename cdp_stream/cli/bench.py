"""`cdp bench`: benchmarks against the budgets."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from cdp_stream.bench import backfill, check, due, engine, memory, outputs, recovery, replay, worker
from cdp_stream.bench.measure import Result, as_json, machine
from cdp_stream.bench.reference_load import PROFILES
from cdp_stream.bench.suite import ALL
from cdp_stream.cli.options import whole_number, with_default
from cdp_stream.errors import OutsideError

_broker = click.option(
    "--broker", metavar="HOST:PORT", help="Kafka's address.  [default: Apache Kafka from its jars]"
)
_json = click.option("--json", "as_object", is_flag=True, help="The machine-readable object.")


@click.group(
    epilog="Example: cdp bench --scale 0.02",
    help="Measure everything, one benchmark after the other, or one of them, against the budgets.",
    invoke_without_command=True,
)
@_broker
@with_default(
    "--scale",
    type=click.FloatRange(min=0.0, min_open=True, max=1.0),
    default=1.0,
    help="The part of the full size.",
)
@_json
@click.pass_context
def command(context: click.Context, broker: str | None, scale: float, as_object: bool) -> None:
    """Run all benchmarks if none is named.

    Raises:
        OutsideError: some could not run; the others are shown.
    """
    if context.invoked_subcommand is not None:
        return
    results: list[Result] = []
    failed: dict[str, OutsideError] = {}
    for name, measure in ALL.items():
        click.echo(f"measuring: {name}", err=True)
        try:
            measured = measure(scale, broker)
        except OutsideError as error:
            failed[name] = error
            click.echo(f"{name}: {error}", err=True)
            continue
        results += measured
        if not as_object:
            _show(measured, as_object=False)
    if as_object:
        _show(results, as_object=True)
    if failed:
        raise OutsideError(
            f"not measured: {', '.join(failed)}",
            "read the message of each above, or run it by itself",
        )


_events = click.option(
    "--events", type=click.IntRange(min=1000), help="Measured events of each run."
)
_runs = whole_number("--runs", "The median is shown.", default=3, least=1)
_profiles = click.option(
    "--profiles", type=click.IntRange(min=100), help="Profiles.  [default: 100,000]"
)


@command.command("engine", epilog="Example: cdp bench engine --runs 5 --json")
@_events
@_runs
@_profiles
@whole_number("--audiences", "Defined audiences.", default=100, least=100)
@click.option("--sdk", is_flag=True, help="Batches as mParticle's SDKs write them.")
@_json
def measure_engine(
    events: int | None, runs: int, profiles: int | None, audiences: int, sdk: bool, as_object: bool
) -> None:
    """Decode, apply and evaluate; no Kafka."""
    results = engine.run(events or 200_000, runs, profiles or PROFILES, audiences, sdk=sdk)
    _show(results, as_object=as_object)


@command.command("replay", epilog="Example: cdp bench replay --events 500000")
@_events
@_runs
@_profiles
@_json
def measure_replay(events: int | None, runs: int, profiles: int | None, as_object: bool) -> None:
    """Whole runs of `cdp replay`."""
    _show(replay.run(events or 300_000, runs, profiles or PROFILES), as_object=as_object)


@command.command("check", epilog="Example: cdp bench check --audiences 500")
@whole_number("--audiences", "Defined audiences.", default=1000, least=1)
@_runs
@_json
def measure_check(audiences: int, runs: int, as_object: bool) -> None:
    """Whole runs of `cdp check`, with warnings."""
    _show(check.run(audiences, runs), as_object=as_object)


@command.command("worker", epilog="Example: cdp bench worker --broker localhost:9092")
@_broker
@_events
@_runs
@_profiles
@with_default(
    "--guarantee",
    type=click.Choice(list(worker.GUARANTEES)),
    default="exactly-once",
    help="What is measured; `both` in turn, and their ratio.",
)
@click.option(
    "--peer", metavar="PYTHON", help="A Python with Quix Streams, to measure beside (bench/peers)."
)
@_json
def measure_worker(
    broker: str | None,
    guarantee: str,
    peer: str | None,
    events: int | None,
    runs: int,
    profiles: int | None,
    as_object: bool,
) -> None:
    """A worker process on Apache Kafka: CPU per event, rate, latency."""
    _show(
        worker.run(worker.smaller(worker.Load(), events, runs, profiles, guarantee), broker, peer),
        as_object=as_object,
    )


@command.command("recovery", epilog="Example: cdp bench recovery --rows 200000")
@_broker
@whole_number("--rows", "Rows of 300 bytes in the changelog.", default=recovery.ROWS, least=1000)
@_runs
@_json
def measure_recovery(broker: str | None, rows: int, runs: int, as_object: bool) -> None:
    """A worker that starts with a full changelog: rows per second."""
    _show(recovery.run(rows, runs, broker), as_object=as_object)


@command.command("backfill", epilog="Example: cdp bench backfill --events 1000000")
@_broker
@whole_number("--events", "Events in the log.", default=backfill.EVENTS, least=100_000)
@whole_number("--runs", "The median is shown.", default=1, least=1)
@_profiles
@_json
def measure_backfill(
    broker: str | None, events: int, runs: int, profiles: int | None, as_object: bool
) -> None:
    """A new audience over a log of events, beside live traffic: its rate, and live latency."""
    _show(backfill.run(events, runs, profiles or PROFILES, broker), as_object=as_object)


@command.command("due", epilog="Example: cdp bench due --profiles 100000")
@_broker
@whole_number("--profiles", "Windows that end in one minute.", default=due.PROFILES, least=1000)
@whole_number("--seconds", "Length of that minute in seconds.", default=due.SECONDS, least=3)
@_json
def measure_due(broker: str | None, profiles: int, seconds: int, as_object: bool) -> None:
    """Changes that time causes: their delay, one by one and all in a minute."""
    _show(due.run(profiles, broker, seconds), as_object=as_object)


@command.command("memory", epilog="Example: cdp bench memory --profiles 100000")
@_broker
@whole_number(
    "--profiles", "Profiles with state of 20 criteria.", default=memory.PROFILES, least=100
)
@_json
def measure_memory(broker: str | None, profiles: int, as_object: bool) -> None:
    """A worker with a million profiles and the RocksDB store: resident memory."""
    _show(memory.run(profiles, broker), as_object=as_object)


@command.command(
    "outputs",
    epilog="Example: cdp bench outputs --changes 20000 --events 20000 --seconds 5 --runs 1",
)
@_broker
@whole_number(
    "--changes",
    "Changes sent in batches of 500; a tenth of them one per request.",
    default=200_000,
    least=1000,
)
@whole_number(
    "--events",
    "Events applied beside a hanging output, and beside none; 0: none.",
    default=100_000,
    least=0,
)
@whole_number("--profiles", "Profiles of those events.", default=20_000, least=100)
@whole_number(
    "--seconds", "Seconds of live events, to measure latency; 0: none.", default=10, least=0
)
@_runs
@_json
def measure_outputs(
    broker: str | None, changes: int, events: int, profiles: int, seconds: int, runs: int,
    as_object: bool,
) -> None:  # fmt: skip
    """Sinks to a local HTTP server, and profiles beside an output that hangs."""
    load = outputs.Load(changes, events, profiles, runs, seconds)
    _show(outputs.run(load, broker), as_object=as_object)


def _show(results: list[Result], *, as_object: bool) -> None:
    if as_object:
        click.echo(json.dumps(as_json(results)))
        return
    table = Table("measured", "median", "unit", "budget", "holds", "runs")
    for entry in results:
        holds = "" if entry.holds is None else "yes" if entry.holds else "no"
        runs = ", ".join(f"{run:,.6g}" for run in entry.runs)
        budget = "" if entry.budget is None else f"{entry.budget:,.6g}"
        table.add_row(entry.name, f"{entry.value:,.6g}", entry.unit, budget, holds, runs)
    console = Console()
    console.print(table)
    console.print("on " + ", ".join(f"{name} {value}" for name, value in machine().items()))
