"""What `cdp plan` and `cdp apply` share: read the applied version, and show what would change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

import click

from cdp_stream.cli.options import (
    accepted,
    broker_option,
    prefix_option,
    read_files,
    settings_of,
    together,
)
from cdp_stream.definitions import Loaded, load_texts
from cdp_stream.definitions.changes import DefinitionChange, changes_between, parents_removed
from cdp_stream.definitions.differences import difference
from cdp_stream.errors import InputError, counted
from cdp_stream.settings import Settings

_SIGNS = {"add": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red")}

_LINE_COLOURS = {"-": "red", "+": "green"}


@dataclass(frozen=True, slots=True)
class Planned:
    """What applying files would change.

    Attributes:
        version: the version that is applied now, 0 for none.
        members: the number of members of each audience that a change is about; None if unknown.
    """

    settings: Settings
    account_id: str
    loaded: Loaded
    version: int
    changes: list[DefinitionChange]
    members: Mapping[str, int] | None = None

    def members_of(self, change: DefinitionChange) -> int | None:
        """The number of members of the audience of a change, None if unknown."""
        if self.members is None or change.audience is None:
            return None
        return self.members.get(change.audience, 0)


applying_options = together(
    click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path()),
    broker_option,
    prefix_option,
    click.option("--json", "as_json_", is_flag=True, help="Print one JSON object."),
    click.option(
        "--count-members", is_flag=True,
        help="Count the members of changed audiences however many there are.",
    ),
)  # fmt: skip
"""The flags and arguments of both commands."""


def planned(files: tuple[str, ...], *, count_members: bool, **flags: str | None) -> Planned:
    """Check the files, and compare them with what is applied.

    Args:
        count_members: count the members of audiences, whatever their number.

    Raises:
        InputError: the files have problems, printed before; or they are another account's; or
            they leave out milestones that have children.
        BrokerError: Kafka cannot be read.
    """
    loaded = read_files(files)
    for line in _still_needed(loaded):
        click.echo(line, err=True)
    account = accepted(loaded)
    settings = settings_of(flags)
    # Importing Kafka clients is slow; problems of the definitions are reported first.
    from cdp_stream.kafka.clients.client_settings import client_settings
    from cdp_stream.kafka.definitions.member_counts import COUNTED, members_of
    from cdp_stream.kafka.definitions.topic import Applied, read_applied
    from cdp_stream.kafka.topics.ensure import definitions_topic_is_there

    async def read() -> list[Applied]:
        if not await definitions_topic_is_there(settings):
            return []
        return await read_applied(client_settings(settings), settings.topic("definitions"))

    applied = asyncio.run(read())
    if not applied:
        return Planned(settings, account.id, loaded, 0, changes_between(None, loaded))
    newest = applied[-1]
    version = newest.record.version
    if newest.account != account.id:
        raise InputError(
            f"the files define the account `{account.id}`, but version {version} of "
            f"{settings.topic('definitions')} is of the account `{newest.account}`",
            "use another --prefix for another account",
        )
    before = load_texts((file.name, file.text) for file in newest.record.files)
    if before.account is None:
        click.echo(
            f"version {version} cannot be read by this release; everything is shown as added",
            err=True,
        )
    else:
        _check_no_orphans(parents_removed(before, loaded))
    changes = changes_between(before, loaded)
    asked = {change.audience for change in changes if change.audience is not None}
    members = asyncio.run(members_of(settings, asked, at_most=None if count_members else COUNTED))
    return Planned(settings, account.id, loaded, version, changes, members)


def _check_no_orphans(removed: dict[str, list[str]]) -> None:
    if not removed:
        return
    words = []
    for parent, names in removed.items():
        quoted = ", ".join(f"`{name}`" for name in names)
        words.append(f"`{parent}` cannot be removed while it has children: {quoted}")
    raise InputError(
        "; ".join(words),
        "remove or move the children first, and apply that; or keep the milestone's id",
    )


def _still_needed(loaded: Loaded) -> list[str]:
    """A line for each definition that is missing, though others refer to it."""
    referrers: dict[str, list[str]] = {}
    for problem in loaded.errors:
        if problem.code == "unknown-reference" and problem.related:
            missing = problem.message.partition("`")[2].rpartition("`")[0]
            referrers.setdefault(missing, []).extend(problem.related)
    lines = []
    for missing, names in referrers.items():
        quoted = ", ".join(f"`{name}`" for name in dict.fromkeys(names))
        verb = "refers" if len(set(names)) == 1 else "refer"
        lines.append(f"`{missing}` cannot be left out: {quoted} {verb} to it")
    return lines


def as_json(plan: Planned) -> str:
    """The JSON object of a plan."""
    found = {"changes": [change.as_json(plan.members_of(change)) for change in plan.changes]}
    return json.dumps(found, indent=2, ensure_ascii=False)


def as_text(plan: Planned) -> str:
    """The plan for people; click omits the colours without a terminal."""
    now = f"version {plan.version} is applied" if plan.version else "nothing is applied yet"
    lines = [f"Account {plan.account_id}: {now}."]
    if not plan.changes:
        return "\n".join([*lines, "Nothing to change."])
    kinds = max(len(change.kind) for change in plan.changes)
    ids = min(48, max(len(change.id) for change in plan.changes))
    lines.append("")
    for change in plan.changes:
        sign, colour = _SIGNS[change.action]
        head = click.style(f"  {sign} {change.kind:{kinds}}  {change.id:{ids}}", fg=colour)
        lines.append(f"{head}  {_words(change, plan.members_of(change))}".rstrip())
        for name, (before, after) in change.values.items():
            for line in difference(name, before, after):
                lines.append(click.style(f"      {line}", fg=_LINE_COLOURS.get(line[0])))
    return "\n".join([*lines, "", _summary(plan.changes)])


def _words(change: DefinitionChange, members: int | None) -> str:
    words = _effect(change)
    if members is None:
        return words
    many = f"{counted(members, 'member')} now"
    return f"{words}; {many}" if words else many


def _effect(change: DefinitionChange) -> str:
    words = ", ".join(change.fields)
    if change.action == "remove":
        return "its members leave it" if change.kind in ("audience", "milestone") else ""
    if change.stops and change.kind == "milestone":
        return "it stops: no active connection needs it, and its members leave it"
    if change.stops and change.kind == "audience":
        return f"{words}; it stops: a draft is never calculated, and its members leave it"
    if change.stops:
        return f"{words}; it stops: its output receives no more changes of it"
    if not change.recalculates:
        return words
    if change.action == "add":
        return "calculated from history"
    return f"{words}; recalculated" if words else "recalculated: what it depends on changes"


def _summary(changes: list[DefinitionChange]) -> str:
    counts = {action: sum(change.action == action for change in changes) for action in _SIGNS}
    anew = sum(change.recalculates for change in changes)
    return (
        f"Plan: {counts['add']} to add, {counts['change']} to change, {counts['remove']} to "
        f"remove; {anew} to recalculate."
    )
