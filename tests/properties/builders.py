"""Short forms of definitions and batches for the recount's own cases."""

from __future__ import annotations

from typing import Any

from tests.properties.recount import recount

Json = Any
NOON = 1_705_320_000_000  # 2024-01-15T12:00:00Z
DAY = 86_400_000
LIVES_FOR_EVER = {"lookback": "unlimited", "profile_lifetime": "unlimited"}


def defined(*audiences: Json, journeys: Json = (), workspace: Json = LIVES_FOR_EVER) -> Json:
    """One workspace with one input; an audience given as its criteria alone is called `x`."""
    entries = [one if "criteria" in one else {"id": "x", "criteria": one} for one in audiences]
    return {
        "version": 1,
        "account": "acme",
        "workspaces": [{"id": "w", "inputs": [{"id": "web", "kind": "platform"}], **workspace}],
        "audiences": entries,
        "journeys": list(journeys),
    }


def custom(name: str, at: int, **data: Json) -> Json:
    """A custom event at NOON + at."""
    return {
        "event_type": "custom_event",
        "data": {
            "event_name": name,
            "custom_event_type": "other",
            "timestamp_unixtime_ms": NOON + at,
            **data,
        },
    }


def purchase(at: int, *products: Json, **action: Json) -> Json:
    """A purchase at NOON + at."""
    return {
        "event_type": "commerce_event",
        "data": {
            "timestamp_unixtime_ms": NOON + at,
            "product_action": {"action": "purchase", "products": list(products), **action},
        },
    }


def batch(*events: Json, **parts: Json) -> Json:
    """A batch of profile 7."""
    return {"mpid": 7, "events": list(events), **parts}


def profile_only(at: int, **parts: Json) -> Json:
    """A batch of profile 7 without events, that arrives at NOON + at."""
    return {"mpid": 7, "timestamp_unixtime_ms": NOON + at, **parts}


def recounted(
    definitions: Json, *batches: Json, until: int | None = None
) -> list[tuple[str, str, int, int]]:
    """(action, audience, instant after NOON, ordinal) of each change."""
    changes = recount(definitions, list(batches), None if until is None else NOON + until)
    return [
        (c["action"], c["audience_id"], c["effective_at"] - NOON, c["ordinal"]) for c in changes
    ]
