"""`cdp generate`: a seeded synthetic stream of batches."""

from __future__ import annotations

from typing import IO

import click

from cdp_stream.cli.options import output_to
from cdp_stream.offline.generate import Shape, generate

_AT_ONCE = 1 << 20


@click.command(
    epilog="Example: cdp generate --profiles 10000 --events 1000000 --days 30 "
    "--seed 7 --late 0.05 --out events.ndjson"
)
@click.option(
    "--profiles",
    type=click.IntRange(1, 100_000_000),
    default=1000,
    show_default=True,
    help="How many.",
)
@click.option(
    "--events",
    type=click.IntRange(0),
    default=10_000,
    show_default=True,
    help="How many, once each.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 36_500),
    default=30,
    show_default=True,
    help="Length of the stream, from 2026-01-01 UTC.",
)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed gives the same bytes."
)
@click.option(
    "--late",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of late events.",
)
@click.option(
    "--duplicates",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of batches sent twice.",
)
@click.option(
    "--out", metavar="FILE", help="The file for the batches.  [default: - (standard output)]"
)
def command(
    profiles: int,
    events: int,
    days: int,
    seed: int,
    late: float,
    duplicates: float,
    out: str | None,
) -> None:
    """Write a synthetic event stream: one batch a line, in order of arrival."""
    shape = Shape(profiles, events, days, seed, late, duplicates)
    with output_to(out) as sink:
        _write(shape, sink)


def _write(shape: Shape, sink: IO[bytes]) -> None:
    lines: list[bytes] = []
    size = 0
    for line in generate(shape):
        lines.append(line)
        size += len(line)
        if size >= _AT_ONCE:
            sink.write(b"".join(lines))
            lines.clear()
            size = 0
    sink.write(b"".join(lines))
