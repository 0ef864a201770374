"""`cdp explain`: why a profile is, or is not, in an audience at an instant."""

from __future__ import annotations

import sys
from shutil import get_terminal_size

import click

from cdp_stream.cli.options import (
    Instant,
    bytes_progress,
    definitions_option,
    events_option,
    input_option,
    known_audience,
    known_input,
    load_plan,
)
from cdp_stream.cli.profile_ids import Mpid, TakesNegatives
from cdp_stream.explain import History, explain
from cdp_stream.explain.rendering import WIDTH, as_json, as_text
from cdp_stream.explain.words import instant_words
from cdp_stream.offline.lines import LineFile
from cdp_stream.offline.run import Rejections, read_events

_NARROWEST = 40


@click.command(
    cls=TakesNegatives,
    epilog="Example: cdp explain paris-premium 101 --at 2018-09-04T12:00:00Z "
    "--definitions a.yaml --events batches.ndjson",
)
@click.argument("audience")
@click.argument("mpid", type=Mpid())
@click.option("--at", type=Instant(), required=True, help="The instant.")
@definitions_option
@events_option
@input_option
@click.option("--json", "as_object", is_flag=True, help="One JSON object.")
def command(
    audience: str,
    mpid: int,
    at: int,
    definitions: tuple[str, ...],
    events: str,
    input_id: str | None,
    as_object: bool,
) -> None:
    """Explain why the profile MPID is, or is not, in AUDIENCE (or a milestone, `journey/milestone`)
    at an instant: each criterion's result, the events and values behind it, what would flip it,
    and when it flips by passing time.
    """
    plan = load_plan(definitions)
    known_input(plan, input_id)
    known_audience(plan, audience)
    rejections = Rejections()
    history = History(plan, audience, mpid, at, input_id=input_id, on_reject=rejections)
    with LineFile(events) as file, bytes_progress("reading", file.size) as progress:
        for line in read_events(file, rejections, progress):
            history.feed(line)
    explanation = explain(history)
    width = WIDTH
    if sys.stdout.isatty():
        width = max(_NARROWEST, min(WIDTH, get_terminal_size().columns))
    click.echo(as_json(explanation) if as_object else as_text(explanation, width))
    if not explanation.is_known:
        click.echo(f"profile {mpid} is not known at {instant_words(at)}", err=True)
    if explanation.looked_until is not None:
        until = instant_words(explanation.looked_until)
        click.echo(f"changes later than {until} were not searched: too many come before", err=True)
    if (summary := rejections.summary()) is not None:
        click.echo(summary, err=True)
