"""Outputs that cannot run as they are defined, without a broker."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cdp_stream.core.model.connection import Output
from cdp_stream.errors import BrokerError, CdpError
from cdp_stream.sinks.http.secrets import Secrets
from cdp_stream.sinks.preparation import Preparation
from cdp_stream.sinks.reporting.metrics import SinkMetrics
from cdp_stream.sinks.state.faults import faulted, paused, running
from tests.sinks.connectors import Post
from tests.sinks.without_kafka import Producer, state_topics

FITTING = [
    Output(name, "post", {"url": "http://localhost", "key": "a-secret-key"})
    for name in ("one", "two")
]
LACKING = Output("out", "post", {"url": "http://localhost", "key": "${CDP_SECRET_MISSING}"})


class Topics:
    """Those of a broker.

    Attributes:
        wrong: what does not fit, by the output.
        asked: the outputs that were asked for, each time.
    """

    def __init__(self) -> None:
        self.wrong: dict[str, CdpError] = {}
        self.asked: list[list[str]] = []

    async def make(self, outputs: Collection[str]) -> Mapping[str, CdpError]:
        self.asked.append(list(outputs))
        return {output: self.wrong[output] for output in outputs if output in self.wrong}


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
    faults, memory = state_topics(Producer())
    preparation = Preparation(
        Secrets({}), lambda _name: Post, Topics().make, faults, memory, metrics
    )
    await faults.put(paused("out", "a@out", 1))
    ran = metrics.of("out")
    ran.waiting(3, None)
    # The new definitions are looked at before the sink of the old ones is stopped.
    assert await preparation.prepare([LACKING]) == []
    ran.forget()
    assert shown(metrics) == {
        "cdp_output_stopped": {"faulted": 1.0, "paused": 0.0},
        "cdp_output_connections_stopped": {"faulted": 0.0, "paused": 1.0},
    }
    await preparation.prepare([])
    assert shown(metrics) == {}


async def test_topics_that_do_not_fit_are_a_fault_of_their_output_alone() -> None:
    faults, memory = state_topics(Producer())
    topics = Topics()
    topics.wrong["one"] = BrokerError("cdp.output.one.rejected has 1 partition", "alter it")
    preparation = Preparation(
        Secrets({}),
        lambda _name: Post,
        topics.make,
        faults,
        memory,
        SinkMetrics(of_process=False),
    )
    assert [one.definition for one in await preparation.prepare(FITTING)] == FITTING[1:]
    record = faults.record("one")
    assert record is not None
    assert record["message"] == "cdp.output.one.rejected has 1 partition; alter it"
    assert [one["id"] for one in preparation.report()] == ["one"]
    # Those that run are not looked at again: they go on undisturbed.
    topics.wrong = {"two": BrokerError("cdp.output.two has 1 partition")}
    await faults.put(running("one", None, 1))
    assert preparation.resumed.is_set()
    assert [one.definition for one in await preparation.prepare(FITTING)] == FITTING
    assert topics.asked == [["one", "two"], ["one"]]
    assert preparation.report() == []


async def test_what_a_worker_lacked_needs_no_resumption_once_one_starts_that_has_it() -> None:
    faults, memory = state_topics(Producer())

    async def started(secrets: Mapping[str, str]) -> list[Output]:
        metrics = SinkMetrics(of_process=False)
        preparation = Preparation(
            Secrets(secrets), lambda _name: Post, Topics().make, faults, memory, metrics
        )
        found = [one.definition for one in await preparation.prepare([LACKING])]
        # Later it ends nothing: another process may say so with better reason.
        await faults.put(faulted("out", "late@out", "lacks", 2, until_ready=True))
        await preparation.prepare([LACKING])
        assert faults.record("late@out") is not None
        return found

    assert await started({}) == []
    await faults.put(faulted("out", "a@out", "lacks its own", 1, until_ready=True))
    await faults.put(faulted("out", "b@out", "refused by the partner", 1))
    await faults.put(paused("out", "c@out", 1))
    assert await started({}) == []
    assert faults.record("out") is not None
    assert await started({"CDP_SECRET_MISSING": "a-secret-key"}) == [LACKING]
    assert faults.record("out") is None
    assert faults.stopped_connections("out") == {"b@out", "c@out", "late@out"}


async def test_an_output_that_a_partner_refused_stays_stopped_over_a_start() -> None:
    faults, memory = state_topics(Producer())
    await faults.put(faulted("one", None, "401 API key invalid", 1))
    preparation = Preparation(
        Secrets({}), lambda _name: Post, Topics().make, faults, memory,
        SinkMetrics(of_process=False),
    )  # fmt: skip
    await preparation.prepare(FITTING)
    assert faults.record("one") is not None
