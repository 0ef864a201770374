"""`cdp replay`: the engine without Kafka."""

from __future__ import annotations

from contextlib import ExitStack

import click

from cdp_stream.cli.options import (
    STANDARD,
    InstantOrLast,
    bytes_progress,
    definitions_option,
    events_option,
    input_option,
    known_audience,
    known_input,
    load_plan,
    output_to,
    with_default,
)
from cdp_stream.collector import calm_collector
from cdp_stream.errors import UsageError
from cdp_stream.offline.lines import LineFile
from cdp_stream.offline.run import Rejections, Source, read_events, replay_of
from cdp_stream.offline.spill import SpillingSorter
from cdp_stream.offline.unmatched import Unmatched


@click.command(
    epilog="Example: cdp replay --definitions audiences.yaml --events batches.ndjson.gz "
    "--until last"
)
@definitions_option
@events_option
@with_default(
    "--until", type=InstantOrLast(), default="last", help="The instant at which time ends."
)
@click.option(
    "--out", metavar="FILE", help="The file for the changes.  [default: - (standard output)]"
)
@click.option(
    "--audience",
    "audiences",
    multiple=True,
    metavar="ID",
    help="Only these audiences; repeat for several.",
)
@input_option
@click.option(
    "--rejected",
    metavar="FILE",
    help="The file for lines that could not be used, one JSON object each.",
)
def command(
    definitions: tuple[str, ...],
    events: str,
    until: int | None,
    out: str | None,
    audiences: tuple[str, ...],
    input_id: str | None,
    rejected: str | None,
) -> None:
    """Print every membership change of an event file, one JSON object a line, in order of
    `effective_at`.
    """
    if rejected == STANDARD and out in (None, STANDARD):
        raise UsageError(
            "--rejected: standard output has the changes already", "name a file for one of the two"
        )
    plan = load_plan(definitions)
    known_input(plan, input_id)
    calm_collector()
    wanted = frozenset(known_audience(plan, audience_id) for audience_id in audiences)
    with ExitStack() as stack:
        file = stack.enter_context(LineFile(events))
        rejections = Rejections(stack.enter_context(output_to(rejected)) if rejected else None)
        sink = stack.enter_context(output_to(out))
        sorter = stack.enter_context(SpillingSorter())
        unmatched = Unmatched(plan)
        replay = replay_of(plan, Source(events, input_id, until), rejections, unmatched.see)
        with bytes_progress("replaying", file.size) as progress:
            lines = read_events(file, rejections, progress)
            replay.run(
                lines,
                sorter,
                keep=(lambda change: change.audience_id in wanted) if wanted else None,
            )
        for record in sorter:
            sink.write(record.value)
            sink.write(b"\n")
    if (summary := rejections.summary()) is not None:
        click.echo(summary, err=True)
    for line in unmatched.lines():
        click.echo(line, err=True)
