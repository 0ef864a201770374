"""The reference load: 100 audiences, 10 journeys of 5 milestones, 100,000 profiles, events of about
300 bytes.

Of 30 event names each is read by five criteria, and each profile uses four names, so that a profile
has touched 20 criteria. Every (profile, name) pair is seen once before the measurement, so that the
criteria of a new profile are behind it; from then on one event in 20 has the category that flips a
membership.

The same load comes in two spellings: as short as a batch can be, or with what mParticle's SDKs
write beside the event.

Source: docs/benchmarks.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any, Final

NAMES: Final = 30
NAMES_OF_A_PROFILE: Final = 4
PROFILES: Final = 100_000
CATEGORIES: Final = 20
AUDIENCES_READ: Final = 100
"""Audiences whose events come; the budget for many definitions adds others, whose events never do.
"""
START: Final = 1_760_000_000_000
"""Epoch ms of the first event."""
EVENTS_WITH_ATTRIBUTES: Final = 8
"""Of so many batches of an SDK one has user attributes; in the others the member is empty."""


def definitions(audiences: int = AUDIENCES_READ) -> str:
    """The definitions as JSON, which is YAML; audiences beyond 100 read events that never come."""
    return json.dumps(
        {
            "version": 1,
            "account": "bench",
            "workspaces": [
                {"id": "shop", "lookback": "30d", "inputs": [{"id": "web", "kind": "platform"}]}
            ],
            "audiences": [_audience(place) for place in range(audiences)],
            "journeys": [_journey(place) for place in range(10)],
        }
    )


def _audience(place: int) -> dict[str, Any]:
    """Of each 30 audiences one reads each name; the kind of criterion changes with every 30."""
    read = place < AUDIENCES_READ
    criterion: dict[str, Any] = {"event": _name(place % NAMES) if read else f"Other {place}"}
    match place // NAMES:
        case 0:
            criterion["when"] = {"last": "14d"}
        case 1:
            criterion["where"] = [{"attribute": "category", "equals": "category 7"}]
        case 2:
            criterion |= {"count": {"at_least": 10}, "when": {"last": "7d"}}
        case _:
            criterion["when"] = {"last": "21d"}
    return {"id": f"audience-{place:05d}", "criteria": criterion}


def _journey(place: int) -> dict[str, Any]:
    """Five milestones one after another; the 50 milestones of all journeys read every name once or
    twice.
    """
    milestone: dict[str, Any] = {}
    for step in reversed(range(5)):
        number = place * 5 + step
        # 100 audiences leave 20 of the 30 names with three criteria, and ten with four: 50
        # milestones make it five.
        name = number if number < NAMES else 10 + number - NAMES
        criteria = {"event": _name(name), "when": {"last": f"{30 - number // NAMES}d"}}
        milestone = {"id": f"step-{step}", "criteria": criteria} | (
            {"then": [milestone]} if milestone else {}
        )
    return {"id": f"journey-{place}", "milestones": [milestone]}


def _name(place: int) -> str:
    return f"Event {place:02d}"


def warm_up(profiles: int = PROFILES, *, sdk: bool = False) -> Iterator[tuple[int, bytes]]:
    """One event of each (profile, name) pair, as (mpid, batch), in time order.

    Args:
        profiles: how many.
        sdk: spelled as mParticle's SDKs do.
    """
    arrival = START
    for turn in range(NAMES_OF_A_PROFILE):
        for mpid in range(1, profiles + 1):
            arrival += 1
            batch = _batch(mpid, turn, arrival, "category 0", f"warm-{turn}-{mpid:08d}")
            yield mpid, _as_sdk(batch, mpid, mpid) if sdk else batch


def stream(
    events: int, profiles: int = PROFILES, first: int = 0, *, sdk: bool = False
) -> Iterator[tuple[int, bytes]]:
    """The measured events from number `first` on, as (mpid, batch), in time order after those of
    `warm_up`.

    Profiles are drawn uniformly; the same `first` gives the same events. `sdk` is that of
    `warm_up`.
    """
    random = Random(first)
    arrival = START + NAMES_OF_A_PROFILE * profiles + first
    for number in range(first, first + events):
        arrival += 1
        mpid = random.randrange(profiles) + 1
        category = f"category {random.randrange(CATEGORIES)}"
        turn = random.randrange(NAMES_OF_A_PROFILE)
        batch = _batch(mpid, turn, arrival, category, f"event-{number:010d}")
        yield mpid, _as_sdk(batch, mpid, number) if sdk else batch


def _batch(mpid: int, turn: int, arrival: int, category: str, message_id: str) -> bytes:
    name = _name((mpid + turn * 7) % NAMES)
    return (
        b'{"mpid":%d,"timestamp_unixtime_ms":%d,"events":[{"event_type":"custom_event","data":{"event_name":"%b",'
        b'"custom_event_type":"navigation","timestamp_unixtime_ms":%d,"source_message_id":"%b","custom_attributes":'
        b'{"category":"%b","page":"/offers/summer/2026","position":3}}}],"environment":"production"}'
    ) % (mpid, arrival, name.encode(), arrival, message_id.encode(), category.encode())


def _as_sdk(batch: bytes, mpid: int, number: int) -> bytes:
    """The batch with its mpid as text, and with user attributes, mostly none."""
    attributes = b""
    if number % EVENTS_WITH_ATTRIBUTES == 0:
        attributes = b'"$City":"Berlin","tier":"gold","visits":%d' % (number % 100)
    rest = batch[len(b'{"mpid":%d' % mpid) :]
    return b'{"mpid":"%d","user_attributes":{%b}%b' % (mpid, attributes, rest)
