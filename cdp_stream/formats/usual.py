"""Reads most records in one go; `events.read_batch` reads the others.

`usual_batch` is a short cut and no rule of its own: whatever it returns, `events.read_batch`
returns too, without a reject. It leaves every other record to `read_batch`.

A usual record has one event, a custom event or a screen view, and nothing wrong in it: its time is
an integer up to the arrival or absent, its ids are text or absent, it has no location, and of a
profile part it has user attributes at most. All attributes are scalars within the limits. Beside
those no member of it is an object or a list, and no text has a bracket; a record without any
attributes may have one.

Source: docs/events.md.
"""

from __future__ import annotations

from typing import Any

from xxhash import xxh3_64_intdigest

from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.subject import EVENT, SCREEN_VIEW
from cdp_stream.formats import limits
from cdp_stream.formats.profile_part import MEMBERS, part_of_attributes, read_attributes

NO_MEMBERS: dict[str, Any] = {}
"""The device or the application of a batch that has none; only read, so that one serves all."""

_new = object.__new__
_has_no_more_of_profile = (MEMBERS - {"user_attributes"}).isdisjoint
_EVENT_NAME = limits.EVENT_NAME
_ATTRIBUTES = limits.EVENT_ATTRIBUTES
_ATTRIBUTE_NAME = limits.EVENT_ATTRIBUTE_NAME
_ATTRIBUTE_VALUE = limits.EVENT_ATTRIBUTE_VALUE
_BRACKETS = 5
"""Opening brackets of a usual record: the batch's, its events', the event's, its data's, and those
of the event's attributes.
"""
_BRACKETS_WITH_USER = _BRACKETS + 1
_SHORT = _ATTRIBUTE_NAME + len(
    '{"mpid":0,"events":[{"event_type":"screen_view","data":{"screen_name":"",'
    '"custom_attributes":{"":0}}}]}'
)
"""The longest record that cannot have too long a name of an attribute, nor too many of them (each
takes five bytes at least): this is the length of the least record around one name.
"""


def usual_batch(
    batch: dict[str, Any], mpid: int, input_id: str, arrival: int | None, size: int, brackets: int
) -> Batch | None:
    """The batch of a usual record, None for any other record.

    Args:
        batch: the object of the record.
        mpid: whose it is.
        input_id: the input it came by.
        arrival: epoch ms; None when only its events have a time.
        size: bytes of the record.
        brackets: opening brackets in it, those within text included.
    """
    raw_events = batch.get("events")
    if type(raw_events) is not list or len(raw_events) != 1 or arrival is None:
        return None
    user_attributes = batch.get("user_attributes")
    if brackets > (_BRACKETS if user_attributes is None else _BRACKETS_WITH_USER):
        return None
    event = _usual_event(raw_events[0], arrival, size)
    if event is None or not _has_no_more_of_profile(batch):
        return None
    profile = None
    if user_attributes is not None:
        if type(user_attributes) is not dict or (
            brackets > _BRACKETS and event.data.get("custom_attributes") is None
        ):
            return None
        if user_attributes:
            # Of these too every one is a scalar: no bracket is left for another value.
            problems: list[str] = []
            profile = part_of_attributes(read_attributes(user_attributes, problems))
            if problems:
                return None
    request_digest = batch.get("source_request_id")
    if request_digest is not None:
        if type(request_digest) is not str or not request_digest:
            return None
        # `digest_of`, in line here and below.
        request_digest = xxh3_64_intdigest(request_digest.encode())
        if request_digest >= 2**63:
            request_digest -= 2**64
    # Both are filled in here: a call of `__init__` costs more than what it does.
    usual = _new(Batch)
    usual.mpid = mpid
    usual.input = input_id
    usual.arrival = arrival
    usual.events = [event]
    usual.profile = profile
    usual.digest = request_digest
    usual.device = usual.application = NO_MEMBERS
    return usual


def _usual_event(raw: Any, arrival: int, size: int) -> Event | None:  # noqa: PLR0912 - a call for a step would cost more than the step
    data = raw.get("data") if type(raw) is dict else None
    if type(data) is not dict or "location" in data:
        return None
    event_type = raw.get("event_type")
    if event_type == "custom_event":
        kind, name = EVENT, data.get("event_name")
    elif event_type == "screen_view":
        kind, name = SCREEN_VIEW, data.get("screen_name")
    else:
        return None
    if type(name) is not str or len(name) > _EVENT_NAME:
        return None
    attributes = data.get("custom_attributes")
    if type(attributes) is dict:
        # No bracket is left for another value, so every attribute is a scalar.
        if size > _SHORT and _may_exceed_limits(attributes, size):
            return None
    elif attributes is not None:
        return None
    occurred_at = data.get("timestamp_unixtime_ms")
    if occurred_at is None:
        occurred_at = arrival
    elif type(occurred_at) is not int or not 0 <= occurred_at <= arrival:
        return None
    message_id = data.get("source_message_id")
    digest = None
    if message_id is not None:
        if type(message_id) is not str or not message_id:
            return None
        digest = xxh3_64_intdigest(message_id.encode())
        if digest >= 2**63:
            digest -= 2**64
    custom_event_type = data.get("custom_event_type")
    event = _new(Event)
    event.occurred_at = occurred_at
    event.kind = kind
    event.name = name
    event.custom_event_type = custom_event_type if type(custom_event_type) is str else ""
    event.data = data
    event.message_id = message_id
    event.digest = digest
    event.index = 0
    return event


def _may_exceed_limits(attributes: dict[str, Any], size: int) -> bool:
    """Whether scalars in a record of `size` bytes need a closer look at their lengths."""
    return (
        size > _ATTRIBUTE_VALUE
        or len(attributes) > _ATTRIBUTES
        or len("".join(attributes)) > _ATTRIBUTE_NAME
    )
