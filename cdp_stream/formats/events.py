"""Bytes of an input record to a `Batch`, to rejects, or to both: the only way into the engine.

Invariant: whatever the bytes are, nothing is raised and nothing is lost: there is a batch, a reject
or more, or both. A record is checked in the order of `Reason`; the first fault of the whole record
is its only reject.

Source: docs/events.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from cdp_stream.core.model.definition import Input
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.formats import limits
from cdp_stream.formats.envelope import (
    Headers,
    InputResolver,
    arrival_of,
    digest_of,
    identify,
    identify_alone,
    is_time,
    mpid_of,
    parse_object,
    text_id,
)
from cdp_stream.formats.event_types import read_event
from cdp_stream.formats.profile_part import MEMBERS, read_profile
from cdp_stream.formats.rejects import Reason, Reject, bad_events, joined
from cdp_stream.formats.usual import NO_MEMBERS, usual_batch

Decoded = tuple[Batch | None, Sequence[Reject]]
"""What a record is: at least one of the two is there."""

_LEAST_MPID = limits.LEAST_MPID
_GREATEST_TIME = limits.GREATEST_TIME
_GREATEST_MPID = limits.GREATEST_MPID
_in_time_order = attrgetter("occurred_at")


class BatchDecoder:
    """Decodes the records of one account."""

    __slots__ = ("_only", "_resolver")

    def __init__(self, inputs: Mapping[str, Input]) -> None:
        self._resolver = InputResolver(inputs)
        self._only = self._resolver.only

    def decode(
        self, value: bytes | None, key: bytes | None, headers: Headers, recorded_at: int
    ) -> Decoded:
        """Decode a Kafka record, time markers excepted (`envelope.marker_time`).

        Args:
            value: as it came.
            key: as it came.
            headers: as they came.
            recorded_at: the record's timestamp, epoch ms; one that is no instant (-1: none) counts
                as absent.
        """
        if value is None:
            return None, (Reject(Reason.NOT_JSON, "value: expected JSON, found no value", None),)
        parsed = parse_object(value)
        if isinstance(parsed, Reject):
            return None, (parsed,)
        batch, brackets = parsed
        mpid = batch.get("mpid")
        # The common cases first: the key as text, as SDKs write it, or as an integer.
        if type(mpid) is str and mpid.encode() == key:
            mpid = mpid_of(mpid)
        if (
            type(mpid) is not int
            or key != b"%d" % mpid
            or not _LEAST_MPID <= mpid <= _GREATEST_MPID
        ):
            mpid = identify(batch, key, value)
            if isinstance(mpid, Reject):
                return None, (mpid,)
        input_id = self._only
        if headers or input_id is None:
            found = self._resolver.of_record(batch, headers, value)
            if isinstance(found, Reject):
                return None, (found,)
            input_id = found
        arrival = batch.get("timestamp_unixtime_ms")
        if type(arrival) is not int or not 0 <= arrival <= recorded_at <= _GREATEST_TIME:
            arrival = arrival_of(batch, recorded_at if is_time(recorded_at) else None, value)
            if isinstance(arrival, Reject):
                return None, (arrival,)
        usual = usual_batch(batch, mpid, input_id, arrival, len(value), brackets)
        if usual is not None:
            return usual, ()
        return read_batch(value, batch, mpid, input_id, arrival)

    def decode_line(self, line: bytes, input_id: str | None = None) -> Decoded:
        """Decode a line of a file: no key to compare with, no timestamp but those in the batch.

        Args:
            line: one batch, with or without its newline.
            input_id: the value that a header `input` would have (`--input`).
        """
        value = line.rstrip(b"\r\n")
        parsed = parse_object(value)
        if isinstance(parsed, Reject):
            return None, (parsed,)
        batch, brackets = parsed
        mpid = identify_alone(batch, value)
        if isinstance(mpid, Reject):
            return None, (mpid,)
        found = self._resolver.of_line(batch, input_id, value)
        if isinstance(found, Reject):
            return None, (found,)
        arrival = arrival_of(batch, None, value)
        if isinstance(arrival, Reject):
            return None, (arrival,)
        usual = usual_batch(batch, mpid, found, arrival, len(value), brackets)
        if usual is not None:
            return usual, ()
        return read_batch(value, batch, mpid, found, arrival)


def read_batch(
    value: bytes, batch: dict[str, Any], mpid: int, input_id: str, arrival: int | None
) -> Decoded:
    """The events and the profile part of a batch whose record is in order.

    Args:
        value: the record.
        batch: its object.
        mpid: whose it is.
        input_id: the input it came by.
        arrival: epoch ms; None for the greatest time of its events.
    """
    raw_events = batch.get("events")
    if raw_events is None:
        raw_events = ()
    elif type(raw_events) is not list:
        return None, (Reject(Reason.BAD_EVENT, "$.events: expected a list", value),)
    if arrival is None:
        arrival = _greatest_time(raw_events)
        if arrival is None:
            detail = "$.timestamp_unixtime_ms: expected a time, here or in an event"
            return None, (Reject(Reason.BAD_EVENT, detail, value),)
    longest = len(value)
    events: list[Event] = []
    problems: list[tuple[int, str]] | None = None
    for index, raw in enumerate(raw_events):
        event = read_event(raw, index, arrival, longest)
        if type(event) is Event:
            events.append(event)
        elif problems is None:
            problems = [(index, f"$.events[{index}]{event}")]
        else:
            problems.append((index, f"$.events[{index}]{event}"))
    if len(events) > 1:
        events.sort(key=_in_time_order)
    part = None
    device, application = NO_MEMBERS, NO_MEMBERS
    profile_problems: list[str] | None = None
    if not MEMBERS.isdisjoint(batch):
        part, device, application, profile_problems = read_profile(batch)
    request_id = batch.get("source_request_id")
    if request_id is not None:
        request_id = text_id(request_id)
    digest = None if request_id is None else digest_of(request_id)
    decoded = Batch(mpid, input_id, arrival, events, part, digest, device, application)
    if problems is None and not profile_problems:
        return decoded, ()
    return decoded, _rejects_of_parts(value, profile_problems, problems)


def _rejects_of_parts(
    value: bytes,
    profile_problems: Sequence[str] | None,
    event_problems: Sequence[tuple[int, str]] | None,
) -> list[Reject]:
    rejects: list[Reject] = []
    if profile_problems:
        rejects.append(Reject(Reason.BAD_PROFILE, joined(profile_problems), value))
    if event_problems:
        rejects.extend(bad_events(value, event_problems))
    return rejects


def _greatest_time(raw_events: Sequence[Any]) -> int | None:
    """The greatest time that some event of the batch has, whatever else may be wrong with that
    event.
    """
    times = []
    for event in raw_events:
        data = event.get("data") if type(event) is dict else None
        time = data.get("timestamp_unixtime_ms") if type(data) is dict else None
        if type(time) is int and is_time(time):
            times.append(time)
    return max(times, default=None)
