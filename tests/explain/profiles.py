"""Explanations of profile 7 in the audience `x`, of short definitions and batches."""

from __future__ import annotations

import json
from typing import Any

from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_text
from cdp_stream.explain import Explained, Explanation, History, explain
from cdp_stream.explain.rendering import as_json

Json = Any
NOON = 1_705_320_000_000  # 2024-01-15T12:00:00Z
DAY = 86_400_000
LIVES_FOR_EVER = {"lookback": "unlimited", "profile_lifetime": "unlimited"}


def defined(criteria: Json, *others: Json, space: Json = LIVES_FOR_EVER, **parts: Json) -> Json:
    """An account of one workspace `w` with the inputs `web` and `crm`, and audiences."""
    inputs = [
        {"id": "web", "kind": "platform", "api_key": "k-web"},
        {"id": "crm", "kind": "feed", "api_key": "k-crm"},
    ]
    return {
        "version": 1,
        "account": "acme",
        "workspaces": [{"id": "w", "inputs": inputs, **space}],
        "audiences": [{"id": "x", "criteria": criteria}, *others],
        **parts,
    }


def custom(name: str, at: int, message_id: str | None = None, **attributes: Json) -> Json:
    """A custom event at NOON + at."""
    data: Json = {
        "event_name": name,
        "custom_event_type": "other",
        "timestamp_unixtime_ms": NOON + at,
        "custom_attributes": attributes,
    }
    if message_id is not None:
        data["source_message_id"] = message_id
    return {"event_type": "custom_event", "data": data}


def commerce(action: str, at: int, *products: Json) -> Json:
    """A commerce event at NOON + at."""
    return {
        "event_type": "commerce_event",
        "data": {
            "timestamp_unixtime_ms": NOON + at,
            "product_action": {"action": action, "products": list(products)},
        },
    }


def batch(*events: Json, at: int | None = None, key: str = "k-web", **parts: Json) -> Json:
    """A batch of profile 7, that arrives at NOON + at (default: with its latest event)."""
    found = {"mpid": 7, "api_key": key, "events": list(events), **parts}
    if at is not None:
        found["timestamp_unixtime_ms"] = NOON + at
    return found


def explained(
    definitions: Json, *batches: Json, at: int, audience: str = "x", mpid: int = 7
) -> Explanation:
    """The explanation at NOON + at."""
    loaded = load_text(json.dumps(definitions))
    assert loaded.account is not None, [str(problem) for problem in loaded.problems]
    history = History(build_plan(loaded.account), audience, mpid, NOON + at)
    for one in batches:
        history.feed(json.dumps(one).encode())
    return explain(history)


def root(explanation: Explanation) -> Json:
    """The tree as JSON has it."""
    return json.loads(as_json(explanation))["tree"]


def node(explanation: Explanation, criterion: str) -> Explained:
    """The one node of that criterion."""
    (found,) = [one for one in explanation.nodes if one.node.criterion == criterion]
    return found


def details(explained: Explained) -> list[str]:
    """What is behind a verdict, in words."""
    return [reason.detail for reason in (*explained.values, *explained.events)]
