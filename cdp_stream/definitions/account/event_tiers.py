"""Reads `event_tiers` of a workspace, and decides whether criteria can see an event at all.

An event's tier is that of the entry of `event_tiers` that names its input, before one that does
not; among those that of the more specific subject; else its input's. Only `personalize` events
reach criteria. Entries differ by names and types alone, so one event for each name and type that
they mention, and one for all others, represent all events there are.

Source: docs/definitions.md, event tiers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cdp_stream.core.model.definition import EventTier, Input, Tier
from cdp_stream.core.model.subject import (
    ATTRIBUTION,
    EVENT,
    INSTALL,
    INSTALL_AND_UPGRADE,
    SUBJECTS,
    UPGRADE,
    Subject,
)
from cdp_stream.definitions.account.subjects import read_subject
from cdp_stream.definitions.source.nodes import Mapping, Mark, Node, Scalar, shown
from cdp_stream.definitions.source.problems import Problems

TIERS: Final = tuple(tier.value for tier in Tier)
_OWN_KEYS: Final = ("input", "tier")
_OTHER = "\x00"
"""Represents every name that no entry mentions."""


def read_event_tiers(
    nodes: list[tuple[Node, str]], inputs: dict[str, Input], problems: Problems
) -> tuple[EventTier, ...]:
    """The entries that are right; of the others every problem is noted."""
    seen: dict[tuple[Subject, str | None], Mark] = {}
    tiers = []
    for node, path in nodes:
        entry = _read_entry(node, path, inputs, problems)
        if entry is None:
            continue
        key = (entry.subject, entry.input)
        if key in seen:
            message = f"the tier of these events is already given at line {seen[key].line}"
            problems.error("duplicate-tier", node.mark, path, message, "keep one of the two")
            continue
        seen[key] = node.mark
        tiers.append(entry)
    return tuple(tiers)


def _read_entry(
    node: Node, path: str, inputs: dict[str, Input], problems: Problems
) -> EventTier | None:
    if not isinstance(node, Mapping):
        problems.wrong_type(node, path, "a mapping", "as `{event: Heartbeat, tier: preserve}`")
        return None
    kinds = [key for key in node.entries if key in SUBJECTS]
    unknown = problems.unknown_keys(node, path, (*SUBJECTS, *_OWN_KEYS))
    if not kinds and not unknown:
        message, advice = "the entry names no event", "add a subject, as `event: Heartbeat`"
        problems.error("missing-subject", node.mark, path, message, advice)
    elif len(kinds) > 1:
        message = f"an entry has one subject, not {' and '.join(f'`{kind}`' for kind in kinds)}"
        at, mark = f"{path}.{kinds[1]}", node.mark_of(kinds[1])
        problems.error("many-subjects", mark, at, message, "write an entry for each")
    subjects = [
        read_subject(kind, node.entries[kind].value, f"{path}.{kind}", problems) for kind in kinds
    ]
    tier = _read_tier(node, path, problems)
    source, source_fine = _read_input(node, path, inputs, problems)
    if unknown or len(subjects) != 1 or subjects[0] is None or tier is None or not source_fine:
        return None
    return EventTier(subjects[0], tier, source)


def _read_tier(node: Mapping, path: str, problems: Problems) -> Tier | None:
    value = node.get("tier")
    if value is None:
        problems.missing_key(node, path, "tier", "add `tier: preserve`")
        return None
    at = f"{path}.tier"
    if not isinstance(value, Scalar) or not isinstance(value.value, str):
        problems.wrong_type(value, at, "one of " + ", ".join(f"`{tier}`" for tier in TIERS))
        return None
    if value.value not in TIERS:
        problems.bad_word(value, at, f"`{shown(value.value)}` is not a valid tier", TIERS)
        return None
    return Tier(value.value)


def _read_input(
    node: Mapping, path: str, inputs: dict[str, Input], problems: Problems
) -> tuple[str | None, bool]:
    """The input that the entry names, if any, and whether that is right."""
    value = node.get("input")
    if value is None:
        return None, True
    at = f"{path}.input"
    name = problems.text_of(value, at, "the id of an input")
    if name is None:
        return None, False
    if name not in inputs:
        message, advice = (
            f"the workspace has no input `{shown(name)}`",
            problems.near_or_list(name, inputs),
        )
        problems.error("unknown-reference", value.mark, at, message, advice)
        return None, False
    return name, True


def may_be_read(subject: Subject, inputs: list[Input], entries: tuple[EventTier, ...]) -> bool:
    """Whether some event of the subject is `personalize` in some input; true when in doubt."""
    return any(_may_be_read_in(subject, source, entries) for source in inputs)


def _may_be_read_in(subject: Subject, source: Input, entries: tuple[EventTier, ...]) -> bool:
    entries = tuple(entry for entry in entries if entry.input in (None, source.id))
    for kind, name, custom_event_type in _samples(subject, entries):
        matching = [
            entry for entry in entries if entry.subject.covers(kind, name, custom_event_type)
        ]
        if not matching:
            tiers = {source.tier}
        else:
            best = max(_rank(entry) for entry in matching)
            tiers = {entry.tier for entry in matching if _rank(entry) == best}
        if Tier.PERSONALIZE in tiers:
            return True
    return False


def _samples(subject: Subject, entries: tuple[EventTier, ...]) -> Iterator[tuple[str, str, str]]:
    """Events of the subject, as kind, name and type, that represent all of them."""
    names = {_OTHER} | {entry.subject.name for entry in entries if entry.subject.name is not None}
    types = {_OTHER, ATTRIBUTION, subject.custom_event_type or _OTHER}
    types |= {
        entry.subject.custom_event_type
        for entry in entries
        if entry.subject.custom_event_type is not None
    }
    kinds = {
        ATTRIBUTION: (EVENT,),
        INSTALL: (INSTALL, INSTALL_AND_UPGRADE),
        UPGRADE: (UPGRADE, INSTALL_AND_UPGRADE),
    }
    for kind in kinds.get(subject.kind, (subject.kind,)):
        for name in names if subject.name is None else {subject.name}:
            for custom_event_type in types:
                if subject.covers(kind, name, custom_event_type):
                    yield kind, name, custom_event_type


def _rank(entry: EventTier) -> tuple[bool, int]:
    """The priority of an entry: by its input first, then by how specific its subject is."""
    subject = entry.subject
    typed = subject.custom_event_type is not None or subject.kind == ATTRIBUTION
    return entry.input is not None, 2 * (subject.name is not None) + typed
