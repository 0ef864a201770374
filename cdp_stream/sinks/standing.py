"""Which outputs and connections stand still, and why: the records of `cdp.faults`.

Source: docs/memberships.md, delivery: fault, suspension, resumption.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from cdp_stream.sinks.state_topic import StateTopic

__all__ = ["FAULTED", "PAUSED", "RUNNING", "Standings", "faulted", "paused", "running"]

State = Literal["running", "paused", "faulted"]
RUNNING: Final = "running"
PAUSED: Final = "paused"
FAULTED: Final = "faulted"

Record = dict[str, Any]


def faulted(output: str, connection: str | None, message: str, now_ms: int) -> Record:
    """The record of a fault; `message` is the partner's words and what to do."""
    where = "" if connection is None else f" --connection '{connection}'"
    return _record(output, connection, FAULTED, now_ms) | {
        "message": message,
        "next_step": f"cdp outputs resume {output}{where}",
    }


def paused(output: str, connection: str | None, now_ms: int) -> Record:
    """The record of a suspension by an operator."""
    return _record(output, connection, PAUSED, now_ms)


def running(output: str, connection: str | None, now_ms: int) -> Record:
    """The record of a resumption."""
    return _record(output, connection, RUNNING, now_ms)


def _record(output: str, connection: str | None, state: State, now_ms: int) -> Record:
    return {
        "id": connection or output,
        "output": output,
        "connection": connection,
        "state": state,
        "since": now_ms,
        "message": None,
        "next_step": None,
    }


class Standings:
    """How every output and connection stands.

    Args:
        topic: `cdp.faults`.
    """

    def __init__(self, topic: StateTopic) -> None:
        self.topic = topic

    def record(self, key: str) -> Record | None:
        """The record of an output or connection that stands still; None when it runs."""
        record = self.topic.values.get(key)
        return None if record is None or record.get("state") not in {PAUSED, FAULTED} else record

    def stopped_connections(self, output: str) -> frozenset[str]:
        """The connections of an output that stand still; asked by other threads too."""
        # A copy, made in one step: the loop adds records meanwhile.
        values = list(self.topic.values.items())
        return frozenset(
            key
            for key, record in values
            if record.get("output") == output and record.get("connection") and self.record(key)
        )

    async def put(self, record: Record) -> None:
        """Write a record; that of a resumption is followed by a tombstone, so that the topic keeps
        no words of a fault that is over.
        """
        key = str(record["id"])
        await self.topic.put(key, record)
        if record["state"] == RUNNING:
            await self.topic.put(key, None)
