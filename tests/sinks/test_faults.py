"""How outputs and connections stand."""

from __future__ import annotations

from typing import Any

from cdp_stream.sinks.state.faults import faulted, paused, running
from tests.sinks.without_kafka import Producer, state_topics


async def test_the_connections_of_an_output_that_are_stopped() -> None:
    faults, _ = state_topics(Producer())
    for record in (
        paused("out", None, 1),
        paused("out", "a@out", 1),
        faulted("out", "b@out", "gone", 1),
        running("out", "c@out", 1),
        paused("other", "a@other", 1),
    ):
        await faults.put(record)
    assert faults.stopped_connections("out") == {"a@out", "b@out"}


async def test_a_resumption_leaves_nothing_of_the_fault() -> None:
    producer = Producer()
    faults, _ = state_topics(producer)
    await faults.put(faulted("out", None, "no such user", 1))
    await faults.put(running("out", None, 2))
    assert [(key, value and value["state"]) for _, key, value in producer.written] == [
        ("out", "faulted"), ("out", "running"), ("out", None),
    ]  # fmt: skip
    assert faults.record("out") is None


async def test_what_comes_in_while_another_thread_asks_does_no_harm() -> None:
    faults, _ = state_topics(Producer())
    values = faults.topic.values

    class Interrupted(dict[str, Any]):
        """As it is looked at, the loop takes in another record."""

        def get(self, key: str, default: Any = None) -> Any:
            values.setdefault("b@out", paused("out", "b@out", 2))
            return super().get(key, default)

    values["a@out"] = Interrupted(paused("out", "a@out", 1))
    assert faults.stopped_connections("out") >= {"a@out"}
    assert faults.stopped_connections("out") == {"a@out", "b@out"}
