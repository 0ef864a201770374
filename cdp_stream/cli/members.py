"""`cdp members`: the members of an audience at an instant."""

from __future__ import annotations

import json

import click

from cdp_stream.cli.options import (
    Instant,
    bytes_progress,
    definitions_option,
    events_option,
    input_option,
    json_option,
    known_audience,
    known_input,
    load_plan,
)
from cdp_stream.core.model.change import Change
from cdp_stream.offline.lines import LineFile
from cdp_stream.offline.run import Rejections, Source, read_events, replay_of


@click.command(
    epilog="Example: cdp members paris-premium --at 2018-09-09T13:00:00Z "
    "--definitions a.yaml --events batches.ndjson"
)
@click.argument("audience")
@click.option("--at", type=Instant(), required=True, help="The instant.")
@definitions_option
@events_option
@input_option
@json_option('One {"mpid", "since", "variant"} a line.')
def command(
    audience: str,
    at: int,
    definitions: tuple[str, ...],
    events: str,
    input_id: str | None,
    as_json: bool,
) -> None:
    """Print the members of AUDIENCE (or of a milestone, `journey/milestone`) at an instant, in
    numeric order.
    """
    plan = load_plan(definitions)
    known_input(plan, input_id)
    known_audience(plan, audience)
    rejections = Rejections()
    replay = replay_of(plan, Source(events, input_id, at), rejections)
    ignored: list[Change] = []
    with LineFile(events) as file, bytes_progress("reading", file.size) as progress:
        for line in read_events(file, rejections, progress):
            replay.feed(line, ignored)
            ignored.clear()
    replay.finish(lambda _changes: None)
    for mpid in sorted(replay.rows):
        since = replay.rows[mpid].members.get(audience)
        if since is None:
            continue
        if as_json:
            variant = replay.rows[mpid].variants.get(audience)
            click.echo(json.dumps({"mpid": str(mpid), "since": since, "variant": variant}))
        else:
            click.echo(mpid)
    if (summary := rejections.summary()) is not None:
        click.echo(summary, err=True)
