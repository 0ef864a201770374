"""What the worker counts, for Prometheus; ``docs/metrics.md`` says what each means.

Labels never hold a profile, an event name or any other text from input: partitions, reasons,
audiences and actions only.
"""

from collections import Counter as Tally

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    start_http_server,
)

from cdp_stream.errors import UsageError
from cdp_stream.formats.rejects import Reason
from cdp_stream.partition.effects import Effects, Headers

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LATENESS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 300.0, 3600.0, 86400.0)


class Metrics:
    """The metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._records = Counter(
            "cdp_input_records_total", "Records applied, by partition",
            ["partition"], registry=registry,
        )  # fmt: skip
        self._events = Counter(
            "cdp_events_total", "Events in the batches applied", registry=registry
        )
        self._rejected = Counter(
            "cdp_rejected_records_total", "Records and events published as rejected, by reason",
            ["reason"], registry=registry,
        )  # fmt: skip
        for reason in Reason:
            # A counter that is there at 0 can be watched; one that appears cannot have risen.
            self._rejected.labels(reason.value)
        self._changes = Counter(
            "cdp_membership_changes_total", "Membership changes, by audience and action",
            ["audience", "action"], registry=registry,
        )  # fmt: skip
        self._slice_seconds = Histogram(
            "cdp_slice_evaluation_seconds", "Time to evaluate one slice of a chunk or of a tick",
            ["kind"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._lateness = Histogram(
            "cdp_due_instant_lateness_seconds",
            "How far the clock stood past the earliest due instant of a tick",
            buckets=_LATENESS, registry=registry,
        )  # fmt: skip
        self._lag = Gauge(
            "cdp_input_lag_records", "Records that wait in the input, by partition",
            ["partition"], registry=registry,
        )  # fmt: skip
        self._overdue = Gauge(
            "cdp_due_instant_overdue_seconds",
            "How far a partition's time is past its earliest due instant that has not fired",
            ["partition"],
            registry=registry,
        )
        self._time = Gauge(
            "cdp_partition_time_seconds",
            "A partition's time, seconds since the epoch",
            ["partition"],
            registry=registry,
        )
        self._sampled: set[int] = set()
        self._recovered = Counter(
            "cdp_recovery_records_total", "Changelog records read in recoveries", registry=registry
        )
        self._recovery_seconds = Gauge(
            "cdp_recovery_seconds", "Duration of the latest recovery", registry=registry
        )

    def serve(self, port: int) -> None:
        """Serve ``/metrics`` over HTTP on all interfaces.

        Raises:
            UsageError: The port cannot be used.
        """
        try:
            start_http_server(port, registry=self.registry)
        except OSError as error:
            raise UsageError(
                f"cannot serve metrics on port {port}: {error.strerror}",
                "choose another --metrics-port",
            ) from error

    def applied(self, partition: int, records: int, seconds: float, effects: Effects) -> None:
        """Count a slice of records."""
        self._records.labels(partition).inc(records)
        self._events.inc(effects.events)
        self._slice_seconds.labels("records").observe(seconds)
        self._count_outputs(effects)

    def ticked(self, partition: int, late_ms: int, seconds: float, effects: Effects) -> None:
        """Count a slice of due instants, the earliest of which was ``late_ms`` behind the clock."""
        self._lateness.observe(max(0, late_ms) / 1000)
        self._slice_seconds.labels("due_instants").observe(seconds)
        self._count_outputs(effects)

    def sample(self, partition: int, *, lag: int, time: int, next_due: int | None) -> None:
        """Set what a partition's gauges show: records that wait, its time, what is overdue."""
        self._lag.labels(partition).set(lag)
        self._time.labels(partition).set(time / 1000)
        overdue = 0 if next_due is None else max(0, time - next_due)
        self._overdue.labels(partition).set(overdue / 1000)
        self._sampled.add(partition)

    def forget(self, partition: int) -> None:
        """Drop the gauges of a partition that went to another worker."""
        if partition in self._sampled:
            self._sampled.discard(partition)
            for gauge in (self._lag, self._time, self._overdue):
                gauge.remove(partition)

    def recovered(self, records: int, seconds: float) -> None:
        """Note a recovery."""
        self._recovered.inc(records)
        self._recovery_seconds.set(seconds)

    def _count_outputs(self, effects: Effects) -> None:
        for (audience, action), count in effects.changes.items():
            self._changes.labels(audience, action).inc(count)
        if not effects.rejected:
            return
        for reason, count in Tally(_reason(headers) for _, _, headers in effects.rejected).items():
            self._rejected.labels(reason).inc(count)


def _reason(headers: Headers) -> str:
    return next((value.decode() for name, value in headers if name == "reason"), "unknown")
