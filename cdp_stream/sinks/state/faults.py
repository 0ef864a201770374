"""Which outputs and connections are stopped, and why: the records of `cdp.faults`.

Source: docs/memberships.md, delivery: fault, suspension, resumption.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from cdp_stream.sinks.state.followed_topic import FollowedTopic
from cdp_stream.wall_clock import wall_ms

__all__ = ["FAULTED", "PAUSED", "RUNNING", "Faults", "faulted", "paused", "resume", "running"]

State = Literal["running", "paused", "faulted"]
RUNNING: Final = "running"
PAUSED: Final = "paused"
FAULTED: Final = "faulted"
UNTIL_READY: Final = "until_ready"

FaultRecord = dict[str, Any]


def faulted(
    output: str,
    connection: str | None,
    message: str,
    now_ms: int,
    *,
    until_ready: bool = False,
) -> FaultRecord:
    """The record of a fault.

    Args:
        message: The partner's words and what to do.
        until_ready: Whether a process that starts and can run it ends the fault: what it lacked was
            in its environment, or in its settings.
    """
    return _record(output, connection, FAULTED, now_ms) | {
        "message": message,
        "next_step": resume(output, connection),
        **({UNTIL_READY: True} if until_ready else {}),
    }


def paused(output: str, connection: str | None, now_ms: int) -> FaultRecord:
    """The record of a suspension by an operator."""
    return _record(output, connection, PAUSED, now_ms)


def running(output: str, connection: str | None, now_ms: int) -> FaultRecord:
    """The record of a resumption."""
    return _record(output, connection, RUNNING, now_ms)


def resume(output: str, connection: str | None) -> str:
    """The command that resumes an output, or one connection."""
    where = "" if connection is None else f" --connection '{connection}'"
    return f"cdp outputs resume {output}{where}"


def _record(output: str, connection: str | None, state: State, now_ms: int) -> FaultRecord:
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
    """Which outputs and connections are stopped.

    Args:
        topic: `cdp.faults`.
    """

    def __init__(self, topic: FollowedTopic) -> None:
        self.topic = topic

    def record(self, key: str) -> FaultRecord | None:
        """The record of an output or connection that is stopped; None when it runs."""
        record = self.topic.values.get(key)
        return None if record is None or record.get("state") not in {PAUSED, FAULTED} else record

    def of_connections(self, output: str) -> list[FaultRecord]:
        """The records of the connections of an output that are stopped, by their ids; asked by
        other threads too.
        """
        # A copy, made in one step: the loop adds records meanwhile.
        values = sorted(self.topic.values.items())
        return [
            record
            for key, record in values
            if record.get("output") == output and record.get("connection") and self.record(key)
        ]

    def stopped_connections(self, output: str) -> frozenset[str]:
        """The ids of the connections of an output that are stopped; asked by other threads too."""
        return frozenset(record["id"] for record in self.of_connections(output))

    def report(self, output: str, *, is_ready: bool) -> dict[str, Any]:
        """The state of an output, for `/outputs`; a partner's words are for `cdp outputs show`.

        Args:
            is_ready: Whether its partitions are assigned here.
        """
        own = self.record(output)
        return {
            "id": output,
            "state": own["state"] if own is not None else RUNNING if is_ready else "starting",
            "since": None if own is None else own["since"],
            "connections": [
                {"id": one["id"], "state": one["state"], "since": one["since"]}
                for one in self.of_connections(output)
            ],
        }

    async def put(self, record: FaultRecord) -> None:
        """Write a record; that of a resumption is followed by a tombstone, so that the topic keeps
        no words of a fault that is over.
        """
        key = str(record["id"])
        if record["state"] == RUNNING:
            await self.topic.put(key, None, first=record)
        else:
            await self.topic.put(key, record)

    async def end_lacks(self, output: str) -> list[str]:
        """End the faults about what a process lacked, of an output that can run now and of its
        connections. A connection that still lacks something gets its fault again with its next
        change.

        Returns:
            The ids of the outputs and connections.
        """
        ended = []
        for record in (self.record(output), *self.of_connections(output)):
            if record is not None and record["state"] == FAULTED and record.get(UNTIL_READY):
                await self.put(running(output, record["connection"], wall_ms()))
                ended.append(str(record["id"]))
        return ended
