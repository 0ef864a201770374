"""`cdp rejected`: lists, shows and resends rejected records, of the input or of an output."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cdp_stream.cli.options import (
    Instant,
    broker_option,
    instant_text,
    json_option,
    prefix_option,
    settings_of,
    together,
    unknown,
    with_default,
)
from cdp_stream.cli.outputs import applied_account
from cdp_stream.errors import UsageError, counted
from cdp_stream.formats.rejects import Reason
from cdp_stream.settings import Settings

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

    from cdp_stream.sinks.rejects.rejected_topic import Rejected, RejectedTopic, Selection
    from cdp_stream.sinks.rejects.resending import Judge

_MOST_REASONS = 20
_MOST_KINDS = 10_000
_OTHERS = "(others)"
_WIDEST = 100
_PLACE = re.compile(r"[0-9]{1,9}:[0-9]{1,18}")
_FLAGS = "flags"


_where = together(
    click.option(
        "--output", metavar="ID", help="Of this output.  [default: of the input, cdp.events]"
    ),
    broker_option,
    prefix_option,
    json_option("JSON, one object a line."),
)
"""The flags of every verb."""

_which = together(
    click.option(
        "--reason", metavar="TEXT",
        help="Only with this reason; of an output, with these words in the partner's answer.",
    ),
    click.option(
        "--since", type=Instant(), metavar="ISO8601",
        help="Only records rejected at this instant or later.",
    ),
)  # fmt: skip
"""The flags that select records."""


@click.group(
    invoke_without_command=True,
    epilog="Example: cdp rejected --reason unknown_input --since 2026-03-01",
)
@_where
@_which
@click.pass_context
def command(context: click.Context, /, **flags: Any) -> None:  # noqa: ANN401 - as click gives them
    """Show what was rejected, and send it again. Without a verb: list it."""
    context.obj = {_FLAGS: flags}
    if context.invoked_subcommand is None:
        _list(flags, limit=20)


@command.command("list", epilog="Example: cdp rejected list --output crm-mail --json")
@_where
@_which
@with_default(
    "--limit", type=click.IntRange(min=0), default=20, metavar="N",
    help="How many of the newest are shown below the counts; --json prints all.",
)  # fmt: skip
@click.pass_obj
def list_rejected(obj: dict[str, Any], /, limit: int, **flags: Any) -> None:  # noqa: ANN401
    """Count by reason, and list the newest."""
    _list(_together(obj, flags), limit=limit)


@command.command("show", epilog="Example: cdp rejected show 3:1207")
@click.argument("place", metavar="PARTITION:OFFSET")
@_where
@click.pass_obj
def show_rejected(obj: dict[str, Any], /, place: str, **flags: Any) -> None:  # noqa: ANN401
    """Print one record with its headers and its value, which may contain personal data."""
    flags = _together(obj, flags)
    at = _place(place)
    found: list[tuple[Rejected, bool]] = []

    async def read() -> None:
        from cdp_stream.sinks.rejects.rejected_topic import Selection

        async with _rejects(flags) as around:
            topic = around.topic
            await topic.read(
                Selection(places=frozenset({at})),
                lambda one: found.append((one, topic.was_sent_again(one))),
            )
            if not found:
                raise UsageError(
                    f"{topic.name} has no record at {place}", "see `cdp rejected` for those it has"
                )

    asyncio.run(read())
    ((one, again),) = found
    if flags["as_json"]:
        click.echo(
            json.dumps(_row(one, again) | {"headers": _headers(one), "value": _readable(one.value)})
        )
        return
    click.echo(f"{place}, rejected {instant_text(one.time)}{', sent again' if again else ''}")
    click.echo("without a key" if one.key is None else f"key: {_printed(_readable(one.key))}")
    for name, value in _headers(one):
        click.echo(f"{_printed(name)}: {_printed(value)}")
    click.echo("without its value" if one.value is None else _printed(_readable(one.value)))


@command.command(
    "resend", epilog="Example: cdp rejected resend --reason unknown_input --since 2026-03-01"
)
@click.argument("places", metavar="[PARTITION:OFFSET]...", nargs=-1)
@_where
@_which
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--again", is_flag=True, help="Also those that were sent again before.")
@click.option("--force", is_flag=True, help="Also those that would only be rejected again.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and send nothing.")
@click.pass_obj
def resend_rejected(
    obj: dict[str, Any],
    /,
    places: tuple[str, ...],
    everything: bool,
    again: bool,
    force: bool,
    dry_run: bool,
    **flags: Any,  # noqa: ANN401
) -> None:
    """Send records again, unchanged, to where they came from: to cdp.events, or with --output to
    the output.
    """
    flags = _together(obj, flags)
    if not (places or everything or flags["reason"] or flags["since"] is not None):
        raise UsageError(
            "cdp rejected resend: no records are selected",
            "name records, or give --reason, --since or --all",
        )
    at = frozenset(map(_place, places))
    done = asyncio.run(_send_again(flags, at, again=again, force=force, dry_run=dry_run))
    sent = done.pop("sent", 0)
    left_out = {why: number for why, number in done.most_common() if number}
    if flags["as_json"]:
        click.echo(json.dumps({"sent": sent, "left_out": left_out}))
        return
    verb = "would be sent" if dry_run else "sent"
    click.echo(f"{verb}: {counted(sent, 'record')}")
    for why, number in left_out.items():
        click.echo(f"left out: {counted(number, 'record')}: {why}")


def _together(obj: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    """The flags after a verb, which override those before it."""
    before: dict[str, Any] = obj[_FLAGS]
    return before | {name: flag for name, flag in flags.items() if flag not in {None, False}}


def _place(text: str) -> tuple[int, int]:
    if not _PLACE.fullmatch(text):
        raise UsageError(
            f"`{text}` is not PARTITION:OFFSET", "copy one from the list of `cdp rejected`"
        )
    partition, _, offset = text.partition(":")
    return int(partition), int(offset)


@dataclass(frozen=True, slots=True)
class _Around:
    settings: Settings
    topic: RejectedTopic
    producer: AIOKafkaProducer


@asynccontextmanager
async def _rejects(flags: dict[str, Any]) -> AsyncIterator[_Around]:
    """The topic of rejects that flags name, with settings and a producer."""
    from cdp_stream.kafka.topics.ensure import ensure_sink_topics
    from cdp_stream.sinks.rejects.rejected_topic import RejectedTopic
    from cdp_stream.sinks.state.topics import state_topics

    output, reason = flags["output"], flags["reason"]
    if output is None and reason is not None and reason not in list(Reason):
        raise unknown("reject reason", reason, list(Reason))
    settings = settings_of(flags)
    outputs = await ensure_sink_topics(settings)
    if output is not None and output not in outputs:
        raise unknown("output", output, outputs)
    async with state_topics(settings) as (_, state, producer):
        yield _Around(settings, RejectedTopic(settings, output, state), producer)


def _selection(flags: dict[str, Any], places: frozenset[tuple[int, int]]) -> Selection:
    from cdp_stream.sinks.rejects.rejected_topic import Selection

    return Selection(flags["reason"], flags["since"], places)


async def _send_again(
    flags: dict[str, Any],
    places: frozenset[tuple[int, int]],
    *,
    again: bool,
    force: bool,
    dry_run: bool,
) -> Counter[str]:
    from cdp_stream.core.plan.build import build_plan
    from cdp_stream.sinks.rejects.resending import Resender, change_judge, input_judge

    async with _rejects(flags) as around:
        judge: Judge = change_judge
        if force:
            judge = _nothing_against
        elif flags["output"] is None:
            account = await applied_account(around.settings)
            judge = input_judge(None if account is None else build_plan(account).inputs)
        resending = Resender(around.settings, around.topic, judge, around.producer, anew=again)
        return await resending.run(_selection(flags, places), dry_run=dry_run)


def _nothing_against(_one: Rejected, _headers: object) -> str | None:
    return None


def _list(flags: dict[str, Any], *, limit: int) -> None:
    counts: Counter[str] = Counter()
    newest: deque[tuple[Rejected, bool]] = deque()
    seen_again = 0

    async def read() -> str:
        async with _rejects(flags) as around:
            topic = around.topic

            def take(one: Rejected) -> None:
                nonlocal seen_again
                again = topic.was_sent_again(one)
                if flags["as_json"]:
                    click.echo(json.dumps(_row(one, again)))
                    return
                reason = _cut(one.reason)
                counts[reason if reason in counts or len(counts) < _MOST_KINDS else _OTHERS] += 1
                seen_again += again
                newest.append((replace(one, value=None), again))
                if len(newest) > max(1_000, 2 * limit):
                    _keep_newest(newest, limit)

            await topic.read(_selection(flags, frozenset()), take)
            return topic.name

    name = asyncio.run(read())
    if flags["as_json"]:
        return
    again = f", {seen_again:,} of them sent again" if seen_again else ""
    click.echo(f"{name}: {counted(sum(counts.values()), 'record')}{again}")
    for reason, number in counts.most_common(_MOST_REASONS):
        click.echo(f"{number:>9,}  {reason}")
    if (more := len(counts) - _MOST_REASONS) > 0:
        click.echo(f"           and {counted(more, 'other reason')}")
    _keep_newest(newest, limit)
    console = Console()
    for one, was_sent in newest:
        sent = " (sent again)" if was_sent else ""
        place = f"{one.partition}:{one.offset}"
        # As text, because a partner's answer may look like markup.
        console.print(Text(f"{place}  {instant_text(one.time)}  {_cut(one.reason)}{sent}"))
        if detail := one.header("detail"):
            console.print(Padding(Text(_cut(detail)), (0, 0, 0, 4), expand=False))


def _keep_newest(found: deque[tuple[Rejected, bool]], limit: int) -> None:
    kept = sorted(found, key=lambda pair: pair[0].time)
    found.clear()
    found.extend(kept[len(kept) - limit :] if limit else ())


def _row(one: Rejected, again: bool) -> dict[str, Any]:
    return {
        "partition": one.partition,
        "offset": one.offset,
        "time": one.time,
        "reason": one.reason,
        "detail": one.header("detail"),
        "key": _readable(one.key),
        "bytes": None if one.value is None else len(one.value),
        "source_partition": None if one.source is None else one.source[0],
        "source_offset": None if one.source is None else one.source[1],
        "sent_again": again,
    }


def _headers(one: Rejected) -> list[tuple[str, str | None]]:
    return [(name, _readable(value)) for name, value in one.headers]


def _readable(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "replace")


def _printed(text: str | None) -> str:
    """A text without control characters."""
    shown = "" if text is None else text
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in shown)


def _cut(text: str) -> str:
    line = _printed(" ".join(text.split()))
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]}…"
