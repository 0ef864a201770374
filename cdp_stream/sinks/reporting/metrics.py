"""What the sinks count, for Prometheus; `docs/metrics.md` says what each means.

All are of an output; none holds a profile, a connection or a partner's words.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from cdp_stream.kafka.log import Tallied
from cdp_stream.sinks.delivery.destination import Watch

__all__ = ["OutputMetrics", "SinkMetrics"]

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class SinkMetrics:
    """The metrics of one sinks process.

    Args:
        of_process: whether to tell CPU and memory of the process too; its parent tells its own.
    """

    def __init__(self, *, of_process: bool = True) -> None:
        self.registry = registry = CollectorRegistry()
        if of_process:
            ProcessCollector(registry=registry)
        label = ["output"]
        self.sent = Counter(
            "cdp_output_sent_total", "Changes that the partner took", label, registry=registry
        )
        self.retried = Counter(
            "cdp_output_retries_total", "Attempts that had to be repeated", label, registry=registry
        )
        self.rejected = Counter(
            "cdp_output_rejected_total", "Changes that the partner will never take", label,
            registry=registry,
        )  # fmt: skip
        self.faults = Counter(
            "cdp_output_faults_total", "Faults, by what they stopped", ["output", "scope"],
            registry=registry,
        )  # fmt: skip
        self.stopped = Gauge(
            "cdp_output_stopped", "1 while the output stands still, by why", ["output", "state"],
            registry=registry,
        )  # fmt: skip
        self.connections_stopped = Gauge(
            "cdp_output_connections_stopped", "Connections that stand still, by why",
            ["output", "state"], registry=registry,
        )  # fmt: skip
        self.lag = Gauge(
            "cdp_output_lag_records", "Records that wait in the output's topic", label,
            registry=registry,
        )  # fmt: skip
        self.oldest = Gauge(
            "cdp_output_oldest_unsent_seconds", "Age of the oldest change that was not confirmed",
            label, registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "cdp_output_request_seconds", "Duration of each attempt", label, buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._latest: dict[str, OutputMetrics] = {}

    def of(self, output: str) -> OutputMetrics:
        """Those of one output, all there at 0; whoever had them before gives them up."""
        latest = self._latest[output] = OutputMetrics(self, output)
        return latest

    def is_latest(self, output: str, those: OutputMetrics) -> bool:
        """Whether nobody else has asked for an output's metrics since."""
        return self._latest.get(output) is those


class OutputMetrics:
    """The metrics of one output."""

    def __init__(self, metrics: SinkMetrics, output: str) -> None:
        self._metrics = metrics
        self._output = output
        self._sent = metrics.sent.labels(output)
        self._retried = metrics.retried.labels(output)
        self._rejected = metrics.rejected.labels(output)
        self._seconds = metrics.seconds.labels(output)
        self._rejects = Tallied(
            "changes_rejected", output=output, next=f"cdp rejected --output {output} shows them"
        )
        for scope in ("output", "connection"):
            metrics.faults.labels(output, scope)
        self.standing(None, {})

    @property
    def watch(self) -> Watch:
        """What the destination tells of its work."""
        return Watch(asked=self._seconds.observe, retried=self._retried.inc)

    def delivered(self, sent: int, rejected: int) -> None:
        """Count what came of a delivery."""
        self._sent.inc(sent)
        self._rejected.inc(rejected)
        if rejected:
            self._rejects.note("the partner will never take them", rejected)

    def unreadable(self) -> None:
        """Count a record that is no change."""
        self._rejected.inc()
        self._rejects.note("they are no changes")

    def faulted(self, scope: str) -> None:
        """Count a fault."""
        self._metrics.faults.labels(self._output, scope).inc()

    def standing(self, output: str | None, connections: dict[str, int]) -> None:
        """Set what stands still: the output's state, if it does, and connections by theirs."""
        for state in ("faulted", "paused"):
            self._metrics.stopped.labels(self._output, state).set(output == state)
            count = connections.get(state, 0)
            self._metrics.connections_stopped.labels(self._output, state).set(count)

    def waiting(self, lag: int, oldest_s: float) -> None:
        """Set what waits; called every few seconds."""
        self._rejects.tell()
        self._metrics.lag.labels(self._output).set(lag)
        self._metrics.oldest.labels(self._output).set(oldest_s)

    def forget(self) -> None:
        """Drop the gauges of an output that does not run here any more.

        How it stands is left to who has its metrics now, as where it cannot run as it is defined.
        """
        metrics, output = self._metrics, self._output
        for gauge in (metrics.lag, metrics.oldest):
            if (output,) in gauge._metrics:
                gauge.remove(output)
        if not metrics.is_latest(output, self):
            return
        for state in ("faulted", "paused"):
            metrics.stopped.remove(output, state)
            metrics.connections_stopped.remove(output, state)
