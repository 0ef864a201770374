"""A synthetic stream of batches: the same shape gives the same bytes, on every machine.

The stream is in order of arrival. Without late events no event is earlier than the arrival of a
line before it, so that a live run and a replay of it agree byte for byte; duplicates keep to that
too. Memory is a byte per profile.

Source: docs/commands.md, cdp generate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random  # noqa: TID251 - seeded; only `random()` is used, whose values Python promises to keep
from typing import Any, Final

import orjson

START: Final = 1_767_225_600_000
"""The stream begins on 2026-01-01 00:00 UTC."""

_DAY_MS = 86_400_000
_GREATEST_DELAY_MS = 3 * _DAY_MS
_JITTER_MS = 1000
_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 2**64

_SINGLE_EVENT_SHARE = 0.8
_MOST_EVENTS = 4
_ATTRIBUTE_UPDATE_SHARE = 0.02

_VIDEOS = ("Destination Intro", "City Guide", "Hotel Tour", "Flight Deals", "Food Trail")
_COUNTRIES = ("France", "Spain", "Italy", "Japan", "Peru", "Kenya", "Norway")
_SCREENS = ("Home", "Search", "Destination", "Cart", "Account", "Offers")
_CATEGORIES = ("flight", "hotel", "car", "insurance", "lounge", "tour", "train", "transfer")
_ACTIONS = (
    "add_to_cart",
    "add_to_cart",
    "view_detail",
    "view_detail",
    "remove_from_cart",
    "purchase",
)
_EVENT_NAMES = ("Play Video", "Play Video", "Search Flights")
_STATUSES = ("Free", "Basic", "Premium")
_PLATFORMS = ("iOS", "Android")

Chance = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Shape:
    """What the stream is made of.

    Attributes:
        profiles: how many profiles there are, at least 1; some are far busier than others.
        events: how many events, duplicates not counted.
        days: the time they are spread over, from `START`.
        seed: another seed, another stream.
        late: the share of events, 0 to 1, that happened up to three days before they arrived.
        duplicates: the share of batches, 0 to 1, whose last event is sent a second time.
    """

    profiles: int
    events: int
    days: int
    seed: int
    late: float = 0.0
    duplicates: float = 0.0


def generate(shape: Shape) -> Iterator[bytes]:
    """The lines of the stream, each one batch as JSON with its newline."""
    chance = Random(shape.seed).random
    seen = bytearray(shape.profiles)
    span = shape.days * _DAY_MS
    sent = 0
    arrived_at = START
    while sent < shape.events:
        # The square makes the first profiles the busy ones.
        profile = int(chance() ** 2 * shape.profiles)
        batch: dict[str, Any] = {"mpid": _mpid(shape.seed, profile), "timestamp_unixtime_ms": 0}
        batch["source_request_id"] = f"r{shape.seed}-{sent}"
        if not seen[profile]:
            seen[profile] = 1
            batch |= _introduction(profile, chance)
            events = [_first_start()]
        else:
            if chance() < _ATTRIBUTE_UPDATE_SHARE:
                batch["user_attributes"] = {
                    "status": _pick(_STATUSES, chance),
                    "visits": int(chance() * 100),
                }
            several = chance() > _SINGLE_EVENT_SHARE
            count = 1 + int(chance() * _MOST_EVENTS) if several else 1
            events = [_event(chance) for _ in range(min(count, shape.events - sent))]
        earliest = arrived_at
        due_at = START + span * (sent + len(events)) // shape.events - int(chance() * _JITTER_MS)
        arrived_at = batch["timestamp_unixtime_ms"] = max(earliest, due_at)
        step = (arrived_at - earliest) // len(events)
        for left, event in enumerate(reversed(events)):
            occurred_at = arrived_at - step * left
            if chance() < shape.late:
                occurred_at = max(START, occurred_at - int(chance() ** 2 * _GREATEST_DELAY_MS))
            data = event["data"]
            data["timestamp_unixtime_ms"] = occurred_at
            data["source_message_id"] = f"e{shape.seed}-{sent + len(events) - left}"
        batch["events"] = events
        sent += len(events)
        yield _line(batch)
        if chance() < shape.duplicates:
            yield _line(_again(batch))


def _again(batch: dict[str, Any]) -> dict[str, Any]:
    """What a producer sends that has lost the answer: the request, or the last event in a request
    of its own.

    Of several events the earlier ones would now be earlier than what has arrived: late, which
        nobody asked for.
    """
    events = batch["events"]
    if len(events) == 1:
        return batch
    return {
        "mpid": batch["mpid"],
        "timestamp_unixtime_ms": batch["timestamp_unixtime_ms"],
        "source_request_id": f"{batch['source_request_id']}-again",
        "events": events[-1:],
    }


def _line(batch: dict[str, Any]) -> bytes:
    return orjson.dumps(batch, option=orjson.OPT_APPEND_NEWLINE)


def _mpid(seed: int, profile: int) -> int:
    """A profile id that looks like one: 64 bits, signed, different for every profile of a seed."""
    word = ((seed * 1_000_003 + profile + 1) * _GOLDEN) % _WORD
    return word - _WORD if word >= _WORD // 2 else word


def _pick(choices: tuple[str, ...], chance: Chance) -> str:
    return choices[int(chance() * len(choices))]


def _introduction(profile: int, chance: Chance) -> dict[str, Any]:
    """The profile part of a profile's first batch."""
    return {
        "user_identities": {"customer_id": f"c{profile}", "email": f"user{profile}@example.com"},
        "user_attributes": {
            "status": _pick(_STATUSES, chance),
            "$country": _pick(_COUNTRIES, chance),
        },
        "device_info": {"platform": _pick(_PLATFORMS, chance), "os_version": "17.4"},
    }


def _first_start() -> dict[str, Any]:
    data = {"application_transition_type": "application_initialized", "is_first_run": True}
    return {"event_type": "application_state_transition", "data": data}


def _custom_event(chance: Chance) -> dict[str, Any]:
    attributes = {
        "category": _pick(_VIDEOS, chance),
        "destination": _pick(_COUNTRIES, chance),
        "seconds": int(chance() * 600),
    }
    return {
        "event_name": _pick(_EVENT_NAMES, chance),
        "custom_event_type": "media",
        "custom_attributes": attributes,
    }


def _commerce(chance: Chance) -> dict[str, Any]:
    action = _pick(_ACTIONS, chance)
    category = _pick(_CATEGORIES, chance)
    number = int(chance() * 25)
    price = 5 + int(chance() * 20_000) / 100
    quantity = 1 + int(chance() * 3)
    product = {
        "id": f"{category}-{number}",
        "name": f"{category.title()} {number}",
        "category": category,
        "price": price,
        "quantity": quantity,
    }
    product_action: dict[str, Any] = {"action": action, "products": [product]}
    if action == "purchase":
        product_action["transaction_id"] = f"t{int(chance() * 1_000_000_000)}"
        product_action["total_amount"] = round(price * quantity, 2)
    return {"product_action": product_action, "currency_code": "EUR"}


def _screen_view(chance: Chance) -> dict[str, Any]:
    return {"screen_name": _pick(_SCREENS, chance)}


def _no_data(_chance: Chance) -> dict[str, Any]:
    return {}


_MIXTURE: Final[tuple[tuple[float, str, Callable[[Chance], dict[str, Any]]], ...]] = (
    (0.50, "custom_event", _custom_event),
    (0.75, "screen_view", _screen_view),
    (0.90, "commerce_event", _commerce),
    (0.95, "session_start", _no_data),
    (0.998, "session_end", _no_data),
    (0.999, "crash_report", _no_data),
    (1.00, "uninstall", _no_data),
)
"""(share of this kind and those above it, event type, its data)."""


def _event(chance: Chance) -> dict[str, Any]:
    share = chance()
    for up_to, event_type, data in _MIXTURE:
        if share < up_to:
            return {"event_type": event_type, "data": data(chance)}
    raise AssertionError("the mixture ends at 1")
