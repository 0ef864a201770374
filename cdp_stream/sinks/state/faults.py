"""Which outputs and connections stand still, and why: the records of `cdp.faults`.

Source: docs/memberships.md, delivery: fault, suspension, resumption.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from cdp_stream.sinks.state.followed_topic import FollowedTopic
from cdp_stream.wall_clock import wall_ms

__all__ = ["FAULTED", "PAUSED", "RUNNING", "Faults", "faulted", "paused", "running"]

State = Literal["running", "paused", "faulted"]
RUNNING: Final = "running"
PAUSED: Final = "paused"
FAULTED: Final = "faulted"
UNTIL_READY: Final = "until_ready"

Record = dict[str, Any]


def faulted(
    output: str,
    connection: str | None,
    message: str,
    now_ms: int,
    *,
    until_ready: bool = False,
) -> Record:
    """The record of a fault.

    Args:
        message: the partner's words and what to do.
        until_ready: whether a process that starts and can run it ends the fault: what it lacked was
            in its environment, or in its settings.
    """
    where = "" if connection is None else f" --connection '{connection}'"
    return _record(output, connection, FAULTED, now_ms) | {
        "message": message,
        "next_step": f"cdp outputs resume {output}{where}",
        **({UNTIL_READY: True} if until_ready else {}),
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


class Faults:
    """How every output and connection stands.

    Args:
        topic: `cdp.faults`.
    """

    def __init__(self, topic: FollowedTopic) -> None:
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
        if record["state"] == RUNNING:
            await self.topic.put(key, None, first=record)
        else:
            await self.topic.put(key, record)

    async def end_lacks(self, output: str) -> list[str]:
        """End the faults of an output that can run now, and of its connections, that were of what a
        process lacked; a connection that lacks something still has its fault again with its next
        change.

        Returns:
            The ids of what they were of.
        """
        ended = []
        for key in (output, *sorted(self.stopped_connections(output))):
            record = self.record(key)
            if record is not None and record["state"] == FAULTED and record.get(UNTIL_READY):
                await self.put(running(output, record["connection"], wall_ms()))
                ended.append(key)
        return ended
