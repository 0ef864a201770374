"""What sinks remember, without a broker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from cdp_stream.sinks.memory import Memory
from cdp_stream.sinks.state_topic import StateTopic


class Log:
    """A producer that keeps what it is given.

    Attributes:
        written: (key, value) of each record.
    """

    def __init__(self) -> None:
        self.written: list[tuple[bytes, bytes | None]] = []

    async def send_and_wait(
        self, _topic: str, value: bytes | None, *, key: bytes, partition: int
    ) -> SimpleNamespace:
        assert partition == 0
        self.written.append((key, value))
        return SimpleNamespace(offset=len(self.written) - 1)


def memory(log: Any = None) -> Memory:
    return Memory(StateTopic({}, "cdp.sink-state", log or Log()))
