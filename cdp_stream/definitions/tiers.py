"""Whether a criterion could ever see one of its events, by the tiers of inputs and events.

An event's tier is that of the entry of `event_tiers` that names its input, before one that does
not; among those that of the more specific subject; else its input's. Only `personalize` events
reach criteria. Entries differ by names and types alone, so one event for each name and type that
they mention, and one for all others, stand for all events there are.

Source: docs/definitions.md, event tiers.
"""

from __future__ import annotations

from collections.abc import Iterator

from cdp_stream.core.definition import EventTier, Input, Tier
from cdp_stream.core.subject import (
    ATTRIBUTION,
    EVENT,
    INSTALL,
    INSTALL_AND_UPGRADE,
    UPGRADE,
    Subject,
)

_OTHER = "\x00"
"""Stands for every name that no entry mentions."""


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
    """Events of the subject, as kind, name and type, that stand for all of them."""
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
    """How strongly an entry speaks: by its input first, then by how much its subject says."""
    subject = entry.subject
    typed = subject.custom_event_type is not None or subject.kind == ATTRIBUTION
    return entry.input is not None, 2 * (subject.name is not None) + typed
