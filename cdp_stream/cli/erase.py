"""`cdp erase`: request the erasure of profiles."""

from __future__ import annotations

import asyncio
import json
import os

import click

from cdp_stream.cli.options import SETTINGS_FILE
from cdp_stream.cli.profile_ids import Mpid, TakesNegatives
from cdp_stream.errors import counted
from cdp_stream.kafka.produce import publisher
from cdp_stream.settings import load_settings


@click.command(cls=TakesNegatives, epilog="Example: cdp erase 5283746152837465 --broker kafka:9092")
@click.argument("mpids", metavar="MPID...", nargs=-1, required=True, type=Mpid())
@click.option(
    "--broker", metavar="HOST:PORT,...", help="Kafka's addresses.  [default: localhost:9092]"
)
@click.option("--prefix", metavar="NAME", help="What the topics' names begin with.  [default: cdp]")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def command(mpids: tuple[int, ...], broker: str | None, prefix: str | None, as_json: bool) -> None:
    """Request the erasure of profiles, in order with their events: each leaves all audiences, and
    a worker removes its state. docs/operations.md lists what topics keep for a while.
    """
    flags = {"broker": broker, "prefix": prefix}
    settings, _ = load_settings(flags, os.environ, SETTINGS_FILE)

    async def ask() -> int:
        async with publisher(settings, make_topics=False) as to:
            return await to.erase(mpids)

    asked = asyncio.run(ask())
    if as_json:
        click.echo(json.dumps({"asked": asked}))
        return
    what = counted(asked, "profile")
    click.echo(f"requested the erasure of {what} in {settings.topic('events')}")
