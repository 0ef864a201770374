"""Outputs that cannot run as they are defined, without a broker."""

from __future__ import annotations

from cdp_stream.core.connection import Output
from cdp_stream.sinks.metrics import SinkMetrics
from cdp_stream.sinks.readying import Readying
from cdp_stream.sinks.standing import paused
from tests.sinks.connectors import Post
from tests.sinks.without_kafka import Producer, state_topics

LACKING = Output("out", "post", {"url": "http://localhost", "key": "${MISSING}"})


def shown(metrics: SinkMetrics) -> dict[str, dict[str, float]]:
    """What gauges say of the output, by name and state."""
    found: dict[str, dict[str, float]] = {}
    for metric in metrics.registry.collect():
        for sample in metric.samples:
            if metric.type == "gauge" and sample.labels["output"] == "out":
                found.setdefault(sample.name, {})[sample.labels.get("state", "")] = sample.value
    return found


async def test_a_running_output_that_is_defined_so_that_it_cannot_run_is_shown_as_faulted() -> None:
    metrics = SinkMetrics(of_process=False)
    standings, memory = state_topics(Producer())
    readying = Readying({}, lambda _name: Post, standings, memory, metrics)
    await standings.put(paused("out", "a@out", 1))
    ran = metrics.of("out")
    ran.waiting(3, 1.0)
    # The new definitions are looked at before the sink of the old ones is stopped.
    assert await readying.ready([LACKING]) == []
    ran.forget()
    assert shown(metrics) == {
        "cdp_output_stopped": {"faulted": 1.0, "paused": 0.0},
        "cdp_output_connections_stopped": {"faulted": 0.0, "paused": 1.0},
    }
    await readying.ready([])
    assert shown(metrics) == {}
