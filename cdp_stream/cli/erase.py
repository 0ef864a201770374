"""`cdp erase`: request the erasure of profiles."""

from __future__ import annotations

import asyncio
import json

import click

from cdp_stream.cli.options import broker_option, json_option, prefix_option, settings_of
from cdp_stream.cli.profile_ids import Mpid, TakesNegatives
from cdp_stream.errors import counted
from cdp_stream.kafka.produce import publisher


@click.command(cls=TakesNegatives, epilog="Example: cdp erase 5283746152837465 --broker kafka:9092")
@click.argument("mpids", metavar="MPID...", nargs=-1, required=True, type=Mpid())
@broker_option
@prefix_option
@json_option("Print the summary as one JSON object.")
def command(mpids: tuple[int, ...], as_json: bool, **flags: str | None) -> None:
    """Request the erasure of profiles, in order with their events: each leaves all audiences, and
    a worker removes its state. docs/operations.md lists what topics keep for a while.
    """
    settings = settings_of(flags)

    async def ask() -> int:
        async with publisher(settings, make_topics=False) as to:
            return await to.erase(mpids)

    asked = asyncio.run(ask())
    if as_json:
        click.echo(json.dumps({"asked": asked}))
        return
    what = counted(asked, "profile")
    click.echo(f"requested the erasure of {what} in {settings.topic('events')}")
