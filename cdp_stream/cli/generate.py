"""`cdp generate`: a seeded synthetic stream of batches."""

from __future__ import annotations

from typing import IO

import click

from cdp_stream.cli.options import output_to, whole_number, with_default
from cdp_stream.offline.generate import Shape, generate

_AT_ONCE = 1 << 20


@click.command(
    epilog="Example: cdp generate --profiles 10000 --events 1000000 --days 30 "
    "--seed 7 --late 0.05 --out events.ndjson"
)
@whole_number("--profiles", "How many.", default=1000, least=1, most=100_000_000)
@whole_number("--events", "How many, once each.", default=10_000, least=0)
@whole_number(
    "--days", "Length of the stream, from 2026-01-01 UTC.", default=30, least=1, most=36_500
)
@with_default("--seed", type=int, default=1, help="The same seed gives the same bytes.")
@with_default("--late", type=click.FloatRange(0, 1), default=0.0, help="Share of late events.")
@with_default(
    "--duplicates", type=click.FloatRange(0, 1), default=0.0, help="Share of batches sent twice."
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
