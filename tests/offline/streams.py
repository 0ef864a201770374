"""A small account and batches for it, for the tests of a replay and of the commands around it."""

from __future__ import annotations

import json
from typing import Any

DEFINITIONS = """version: 1
account: acme
workspaces:
  - id: shop
    inputs:
      - {id: web, kind: platform, api_key: k-web}
      - {id: app, kind: platform, api_key: k-app}
audiences:
  - {id: buyers, criteria: {event: Buy, when: {last: 10ms}}}
  - {id: fans, inputs: [app], criteria: {event: Buy, count: {at_least: 2}}}
journeys:
  - id: trial
    milestones:
      - {id: vip, criteria: {user_attribute: status, equals: vip}}
      - {id: rest, remaining: true}
"""
START = 1_700_000_000_000


def batch(at: int, mpid: Any = 7, name: str | None = "Buy", **parts: Any) -> bytes:
    """A batch that arrives at START + at, with one event unless `name` is None."""
    found = {"mpid": mpid, "timestamp_unixtime_ms": START + at, "api_key": "k-web", **parts}
    if name is not None:
        found["events"] = [
            {
                "event_type": "custom_event",
                "data": {"event_name": name, "custom_event_type": "other"},
            }
        ]
    return json.dumps(found).encode()


def changes_of(lines: list[dict[str, Any]]) -> list[tuple[str, str, str, int]]:
    """(action, audience, mpid, instant after START) of each change."""
    return [
        (line["action"], line["audience_id"], line["mpid"], line["effective_at"] - START)
        for line in lines
    ]
