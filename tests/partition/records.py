"""Records of one input partition, and a store that takes what a processor answers."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from cdp_stream.core.model.criterion import Expression, Not
from cdp_stream.core.model.windows import Window
from cdp_stream.core.plan.plan import Plan
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import META_ROW, Effects
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.partition.processor import ProfileProcessor
from tests.core.accounts import DAY, SHORT, audience, did, plan_of

T = 1_700_000_000_000
ROW_MEMORY = 1_300
"""About what a row of these profiles takes, decoded."""
Rows = dict[bytes, bytes]


class Sent(NamedTuple):
    """One record as the consumer hands it over."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp: int
    offset: int


def sent(offset: int, mpid: int, at: int, *names: str, **batch: Any) -> Sent:
    """A batch of custom events, `at` ms after T."""
    events = [{"event_type": "custom_event", "data": {"event_name": name}} for name in names]
    whole = {"mpid": mpid, "timestamp_unixtime_ms": T + at, "events": events, **batch}
    return Sent(b"%d" % mpid, json.dumps(whole).encode(), (), T + at, offset)


def late(offset: int, mpid: int, at: int, *occurred_at: int) -> Sent:
    """A batch that arrives `at` ms after T with a play for each of these earlier times."""
    record = sent(offset, mpid, at, *("play" for _ in occurred_at))
    whole = json.loads(record.value or b"")
    for event, time in zip(whole["events"], occurred_at, strict=True):
        event["data"]["timestamp_unixtime_ms"] = T + time
    return record._replace(value=json.dumps(whole).encode())


def marker(offset: int, at: int) -> Sent:
    """A time marker, `at` ms after T."""
    return Sent(None, b"", (("time", b"%d" % (T + at)),), T + at, offset)


def plan() -> Plan:
    """Who played lately, who never bought, who played twice; profiles live ten days."""

    def entry(name: str, expression: Expression):
        return audience(name, expression, workspace="short")

    def lately(name: str, days: int, **bounds: Any):
        return did(name, workspace="short", window=Window(oldest=days * DAY), **bounds)

    return plan_of(
        entry("played", lately("play", 3)),
        entry("not-bought", Not(lately("buy", 2))),
        entry("twice", lately("play", 5, minimum=2)),
        workspaces=(SHORT,),
    )


def processor(rows: Rows, rows_kept: int = 100_000) -> ProfileProcessor:
    """A processor that takes over these rows."""
    made = ProfileProcessor(
        Definitions("1", 0, plan().account), "cdp.events", 0, MemoryBudget(rows_kept * ROW_MEMORY)
    )
    made.restore(rows)
    return made


def deliver(rows: Rows, effects: Effects) -> None:
    """Write the rows of a call's effects; the partition's own must be the last."""
    assert list(effects.rows)[-1] == META_ROW
    for key, value in effects.rows.items():
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value


def ids(effects: Effects) -> list[str]:
    """The message ids of the changes, offsets in ms from T."""
    messages = [json.loads(value) for _key, value in effects.memberships]
    return [
        f"{m['action']} {m['audience_id']}:{m['mpid']}:{m['effective_at'] - T}:{m['ordinal']}"
        for m in messages
    ]
