"""What the sinks count, for Prometheus; `docs/metrics.md` explains each metric.

All are of an output; none contains a profile, a connection or a partner's words.
"""

from __future__ import annotations

from collections import Counter as Counts
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from cdp_stream.observability.log import Tallied
from cdp_stream.sinks.state.faults import FAULTED, PAUSED, Faults
from cdp_stream.wall_clock import wall_ms

__all__ = ["OutputMetrics", "SinkMetrics"]

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_OUTPUT: Final = ("output",)
_STOPPED: Final = (FAULTED, PAUSED)


class SinkMetrics:
    """The metrics of one sinks process.

    Args:
        of_process: Whether CPU and memory of the process are among them; a parent has its own.
    """

    def __init__(self, *, of_process: bool = True) -> None:
        self.registry = registry = CollectorRegistry()
        if of_process:
            ProcessCollector(registry=registry)

        def counter(name: str, text: str, *more: str) -> Counter:
            return Counter(f"cdp_output_{name}", text, (*_OUTPUT, *more), registry=registry)

        def gauge(name: str, text: str, *more: str) -> Gauge:
            return Gauge(f"cdp_output_{name}", text, (*_OUTPUT, *more), registry=registry)

        self.sent = counter("sent_total", "Changes that the partner accepted")
        self.retried = counter("retries_total", "Attempts that had to be repeated")
        self.rejected = counter("rejected_total", "Changes that the partner will never accept")
        self.faults = counter("faults_total", "Faults, by what they stopped", "scope")
        self.stopped = gauge("stopped", "1 while the output is stopped, by state", "state")
        self.connections_stopped = gauge(
            "connections_stopped", "Stopped connections, by state", "state"
        )
        self.lag = gauge("lag_records", "Records that wait in the output's topic")
        self.oldest = gauge(
            "oldest_unsent_seconds", "Age of the oldest change that was not confirmed"
        )
        self.seconds = Histogram(
            "cdp_output_request_seconds", "Duration of each attempt", _OUTPUT, buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._latest: dict[str, OutputMetrics] = {}

    def of(self, output: str) -> OutputMetrics:
        """The metrics of one output, each at 0; they replace its earlier ones."""
        latest = self._latest[output] = OutputMetrics(self, output)
        return latest

    def is_latest(self, output: str, those: OutputMetrics) -> bool:
        """Whether these have not been replaced."""
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
        self._show(None, Counts())

    def attempted(self, seconds: float) -> None:
        """Count an attempt to deliver, and how long it took."""
        self._seconds.observe(seconds)

    def retried(self) -> None:
        """Count an attempt that has to be repeated."""
        self._retried.inc()

    def delivered(self, sent: int, rejected: int) -> None:
        """Count the outcome of a delivery."""
        self._sent.inc(sent)
        self._rejected.inc(rejected)
        if rejected:
            self._rejects.note("the partner will never accept them", rejected)

    def unreadable(self) -> None:
        """Count a record that is not a change."""
        self._rejected.inc()
        self._rejects.note("they are not changes")

    def faulted(self, scope: str) -> None:
        """Count a fault."""
        self._metrics.faults.labels(self._output, scope).inc()

    def show_stopped(self, faults: Faults) -> None:
        """Show whether the output is stopped, and how many of its connections are."""
        own = faults.record(self._output)
        connections = Counts(one["state"] for one in faults.of_connections(self._output))
        self._show(None if own is None else own["state"], connections)

    def _show(self, state: str | None, connections: Counts[str]) -> None:
        for one in _STOPPED:
            self._metrics.stopped.labels(self._output, one).set(one == state)
            self._metrics.connections_stopped.labels(self._output, one).set(connections[one])

    def waiting(self, lag: int, oldest: int | None) -> None:
        """Set how many records wait, and when the oldest was written, epoch ms; called every few
        seconds.
        """
        self._rejects.log_due()
        self._metrics.lag.labels(self._output).set(lag)
        age_s = 0.0 if oldest is None else max(0, wall_ms() - oldest) / 1000
        self._metrics.oldest.labels(self._output).set(age_s)

    def forget(self) -> None:
        """Remove the gauges of an output that does not run here any more.

        The gauges of what is stopped stay if newer metrics have replaced these: the output may be
        defined so that it cannot run.
        """
        metrics, output = self._metrics, self._output
        for gauge in (metrics.lag, metrics.oldest):
            if (output,) in gauge._metrics:
                gauge.remove(output)
        if metrics.is_latest(output, self):
            for state in _STOPPED:
                metrics.stopped.remove(output, state)
                metrics.connections_stopped.remove(output, state)
