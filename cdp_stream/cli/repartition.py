"""`cdp repartition`: gives a stopped system more partitions."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict

import click

from cdp_stream.cli.options import broker_option, json_option, prefix_option, settings_of
from cdp_stream.errors import counted
from cdp_stream.kafka.repartition.repartition import Repartitioned, repartition


@click.command(epilog="Example: cdp repartition --partitions 32 --broker kafka:9092 --dry-run")
@click.option(
    "--partitions",
    required=True,
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="The new number of partitions of cdp.events and its topics.",
)
@click.option("--dry-run", is_flag=True, help="Check and count, and change nothing.")
@broker_option
@prefix_option
@json_option("Print the summary as one JSON object.")
def command(partitions: int, dry_run: bool, as_json: bool, **flags: str | None) -> None:
    """Give a stopped system more partitions, and move every profile's state to its new one.

    Stop producers and workers before. If it is interrupted, run it again: it continues.
    """
    settings = settings_of(flags)

    def show(line: str) -> None:
        if sys.stderr.isatty():
            click.echo(line, err=True)

    done = asyncio.run(repartition(settings, partitions, dry_run=dry_run, report=show))
    if as_json:
        click.echo(json.dumps({**asdict(done), "dry_run": dry_run}))
    else:
        click.echo(_summary(done, settings.topic("events"), dry_run=dry_run))


def _summary(done: Repartitioned, events: str, *, dry_run: bool) -> str:
    if done.before == done.after:
        return f"{events} has {counted(done.after, 'partition')} already: nothing to do"
    what = f"{counted(done.profiles, 'profile')} and {counted(done.memberships, 'membership')}"
    if dry_run:
        return f"from {done.before} to {counted(done.after, 'partition')} {what} would move"
    came = ""
    if done.forwarded:
        came = f"; forwarded {counted(done.forwarded, 'record')} that came in meanwhile"
    now = counted(done.after, "partition")
    return f"{events} has {now} instead of {done.before}: {what} moved{came}"
