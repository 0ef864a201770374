"""What an event does besides being counted: the state of calculated attributes, carts, sequences
and counts over several workspaces, and what the event has about the profile itself.

Few events do any of it, so the engine comes here only for those.

Source: docs/semantics.md, attribution and location, end of a profile (opt-out).
"""

from __future__ import annotations

from typing import Any, Final

from cdp_stream.core.engine.flips import Flips, Touch
from cdp_stream.core.engine.profile_writing import write_newest
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.row import INSTALL, LOCATION, UNINSTALL, Row, size_of
from cdp_stream.core.model.subject import ATTRIBUTION, EVENT, OPT_OUT
from cdp_stream.core.model.subject import UNINSTALL as UNINSTALL_EVENT
from cdp_stream.core.plan.plan import Plan, Readings

LOCATION_FIELDS: Final = (
    "latitude",
    "longitude",
    "city_name",
    "region_code",
    "postal_code",
    "dma_code",
    "country_code",
)
"""The members of a location that are known."""

_ATTRIBUTION_FIELDS: Final = ("publisher", "campaign")
_FACT_SIZE: Final = 32


def need_of(readings: Readings, event: Event, batch: Batch) -> int:
    """At most the bytes by which `record_more` makes the row grow."""
    need = sum(memory.need(event, batch) for memory, _where in readings.memories)
    if not readings.is_plain:
        need += size_of(attribution_of(event)) + _FACT_SIZE
    location = location_of(event.data.get("location"))
    return need if location is None else need + size_of(location) + _FACT_SIZE


def record_more(plan: Plan, touch: Touch, readings: Readings, batch: Batch, event: Event) -> None:
    """Enter an event into all that is no plain count, at the row's clock."""
    row = touch.row
    for memory, where in readings.memories:
        if where is None or where(event, batch):
            leaves = memory.leaves
            before = touch.verdicts(leaves)
            shared = None
            if touch.before is not None and plan.forwarding is not None:
                shared = plan.forwarding.note_event(touch.before, row, memory.slot, touch.occasion)
            memory.record(row, event, batch, row.clock)
            touch.note(leaves, before)
            if shared is not None:
                row.due = min(row.due, shared.next_change(row, row.clock))
    if event.kind == OPT_OUT:
        opt_out(plan, row, event, touch.flips)
    if not readings.is_personalized:
        return
    location = location_of(event.data.get("location"))
    if location is not None:
        row.weight += size_of(location) + _FACT_SIZE
        write_newest(plan, touch, LOCATION, location)
    name = None
    if event.kind == UNINSTALL_EVENT:
        name = UNINSTALL
    elif event.kind == EVENT and event.custom_event_type.casefold() == ATTRIBUTION:
        name = INSTALL
    if name is not None:
        attribution = attribution_of(event)
        row.weight += size_of(attribution) + _FACT_SIZE
        write_newest(plan, touch, name, attribution)


def opt_out(plan: Plan, row: Row, event: Event, flips: Flips) -> None:
    """Take over an opt-out, which is the account's, unless a newer one is known."""
    if row.opt_out >> 1 > event.occurred_at:
        return
    leaf = plan.opted_out
    before = leaf.holds(row, row.clock)
    row.opt_out = event.occurred_at * 2 + (event.name == "out")
    if leaf.holds(row, row.clock) != before and flips.pop(leaf, None) is None:
        flips[leaf] = ("opt_out", event.message_id, event.occurred_at)


def attribution_of(event: Event) -> dict[str, str]:
    """Publisher and campaign of an attribution or uninstall event: custom attributes, or members of
    its data.
    """
    attributes = event.data.get("custom_attributes")
    found: dict[str, str] = {}
    for field in _ATTRIBUTION_FIELDS:
        for holder in (attributes, event.data):
            value = holder.get(field) if type(holder) is dict else None
            if type(value) is str:
                found[field] = value
                break
    return found


def location_of(location: Any) -> dict[str, Any] | None:
    """The known members of a location; None when it has none of them."""
    if type(location) is not dict:
        return None
    known = {
        field: value
        for field in LOCATION_FIELDS
        if (value := location.get(field)) is not None and type(value) in (str, int, float)
    }
    return known or None
