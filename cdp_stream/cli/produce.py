"""``cdp produce``: publish the batches of a file."""

from __future__ import annotations

import asyncio
import json
import time

import click

from cdp_stream.cli.options import (
    InstantOrLast,
    broker_option,
    bytes_progress,
    events_option,
    input_option,
    instant_text,
    json_option,
    prefix_option,
    settings_of,
)
from cdp_stream.errors import UsageError, counted
from cdp_stream.kafka.produce import LONGEST_VALUE, Published, publish_lines, publisher
from cdp_stream.kafka.topics.ensure import check_prefix
from cdp_stream.offline.lines import LineFile
from cdp_stream.settings import Settings
from cdp_stream.wall_clock import wall_ms

_LINES_NAMED = 5


@click.command(
    epilog="Example: cdp produce --events batches.ndjson.gz --broker localhost:9092 --until last"
)
@events_option
@broker_option
@prefix_option
@input_option
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Batches a second at most.  [default: as fast as the broker accepts them]",
)
@click.option(
    "--until",
    type=InstantOrLast(),
    default=None,
    help="Write a time marker for this instant (last: the greatest arrival) to every partition at "
    "the end; batches that arrive later are not published.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Accept an --until in the future: what arrives before it will then be late.",
)
@click.option(
    "--create", is_flag=True, help="Create the topics if nothing has run with this prefix yet."
)
@json_option("Print the summary as one JSON object.")
@click.pass_context
def command(
    context: click.Context,
    /,
    events: str,
    input_id: str | None,
    rate: float | None,
    until: int | None,
    force: bool,
    create: bool,
    as_json: bool,
    **flags: str | None,
) -> None:
    """Publish event batches to cdp.events, in the order of the file, keyed by their mpid."""
    if until is not None and until > wall_ms() and not force:
        raise UsageError(
            f"--until: {instant_text(until)} is in the future: the time of a partition never moves "
            "back, so everything that arrives before that instant would be late",
            "name an instant that has passed, or `last`; or add --force on a test system",
        )
    settings = settings_of(flags)
    # Without the flag, and with `--until last`, the value is None.
    source = context.get_parameter_source("until")
    mark = source is not click.core.ParameterSource.DEFAULT
    started = time.monotonic()
    with LineFile(events) as file, bytes_progress("publishing", file.size) as progress:

        async def publish() -> Published:
            if not create:
                await check_prefix(settings)
            async with publisher(settings, input_id) as to:
                return await publish_lines(
                    to,
                    iter(file),
                    rate=rate,
                    until=until,
                    mark=mark,
                    progress=None if progress is None else lambda _: progress(file.bytes_read),
                )

        published = asyncio.run(publish())
    _report(published, settings, time.monotonic() - started, as_json=as_json)


def _report(published: Published, settings: Settings, seconds: float, *, as_json: bool) -> None:
    if published.too_long:
        named = ", ".join(map(str, published.too_long[:_LINES_NAMED]))
        more = len(published.too_long) - _LINES_NAMED
        click.echo(
            f"not published, longer than {LONGEST_VALUE:,} bytes: line {named}"
            + (f" and {more} more" if more > 0 else ""),
            err=True,
        )
    if as_json:
        summary = {
            "published": published.records,
            "keyless": published.keyless,
            "after_until": published.after_until,
            "too_long": len(published.too_long),
            "marker": published.marker,
            "seconds": round(seconds, 3),
        }
        click.echo(json.dumps(summary))
        return
    what, topic = counted(published.records, "batch"), settings.topic("events")
    parts = [f"published {what} to {topic} in {seconds:.1f} s"]
    if published.keyless:
        parts.append(f"{published.keyless:,} of them without a key, which the worker rejects")
    if published.after_until:
        parts.append(f"{published.after_until:,} left out because they arrive after --until")
    if published.marker is not None:
        parts.append(f"time marker {instant_text(published.marker)} in every partition")
    click.echo("; ".join(parts))
