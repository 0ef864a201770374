"""What the worker counts, for Prometheus; ``docs/metrics.md`` says what each means.

Labels never hold a profile, an event name or any other text from input: partitions, reasons,
audiences and actions only.
"""

from collections import Counter as Tally
from collections.abc import Callable
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
)

from cdp_stream.formats.rejects import Reason
from cdp_stream.kafka.audience_metrics import AudienceMetrics
from cdp_stream.kafka.backfill_progress import BackfillProgress
from cdp_stream.kafka.log import Tallied
from cdp_stream.kafka.observation import wall_ms
from cdp_stream.partition.effects import Effects, Headers, Processor

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LATENESS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 300.0, 3600.0, 86400.0)


class Metrics:
    """The metrics of one worker, in a registry of their own.

    Attributes:
        registry: Where they are.
        backfill: How far backfills are.
    """

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
        self._late = Counter(
            "cdp_late_batches_total",
            "Batches passed over, as the profiles that they would have begun had ended",
            registry=registry,
        )
        self._future = Counter(
            "cdp_future_records_total",
            "Records too far ahead of the wall clock to move time",
            registry=registry,
        )
        self._implausible = Counter(
            "cdp_implausible_times_total", "Times of events before the year 2000, by input",
            ["input"], registry=registry,
        )  # fmt: skip
        self._rejected = Counter(
            "cdp_rejected_records_total", "Records and events published as rejected, by reason",
            ["reason"], registry=registry,
        )  # fmt: skip
        for reason in Reason:
            # A counter that is there at 0 can be watched; one that appears cannot have risen.
            self._rejected.labels(reason.value)
        self._rejects = Tallied(
            "records_rejected", next="cdp rejected shows them; docs/events.md has the reasons"
        )
        self._changes = Counter(
            "cdp_membership_changes_total", "Membership changes, by audience and action",
            ["audience", "action"], registry=registry,
        )  # fmt: skip
        self._forwarded = Counter(
            "cdp_output_messages_total", "Messages published for an output, by output",
            ["output"], registry=registry,
        )  # fmt: skip
        self._unidentified = Counter(
            "cdp_output_unidentified_total",
            "Messages not published for an output, which accepts none of the profile's identities",
            ["output"],
            registry=registry,
        )
        self._oversized = Counter(
            "cdp_output_oversized_total",
            "Messages too large for Kafka, published without shared attributes or not at all",
            ["output"],
            registry=registry,
        )
        self._oversized_outputs = Tallied(
            "output_messages_too_large",
            kind="output",
            next="share fewer or shorter attributes with it (docs/outputs.md, shared attributes)",
        )
        self._slice_seconds = Histogram(
            "cdp_slice_evaluation_seconds", "Time to evaluate one slice of a chunk or of a tick",
            ["kind"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._lateness = Histogram(
            "cdp_due_instant_lateness_seconds",
            "How far the clock stood past the earliest due instant of a tick",
            buckets=_LATENESS, registry=registry,
        )  # fmt: skip
        self._transactions = Counter(
            "cdp_transactions_total", "Kafka transactions, by how they ended",
            ["outcome"], registry=registry,
        )  # fmt: skip
        for outcome in ("committed", "aborted", "fenced"):
            self._transactions.labels(outcome)
        self._transaction_seconds = Histogram(
            "cdp_transaction_seconds", "From the begin of a transaction to its commit",
            buckets=_SECONDS, registry=registry,
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
        self._ahead = Gauge(
            "cdp_partition_ahead_seconds",
            "How far a partition's time is ahead of the wall clock; 0 where it is not",
            ["partition"],
            registry=registry,
        )
        self._due_waiting = Gauge(
            "cdp_due_instants_waiting", "Due instants that have not fired yet, by partition",
            ["partition"], registry=registry,
        )  # fmt: skip
        self._version = Gauge(
            "cdp_definitions_version",
            "Version of the definitions in force, by partition; 0 where they are from files",
            ["partition"],
            registry=registry,
        )
        self._unswept = Gauge(
            "cdp_definitions_rows_waiting",
            "Rows that the definitions in force have yet to reach, by partition",
            ["partition"],
            registry=registry,
        )
        self._missing = Gauge(
            "cdp_definitions_histories_waiting",
            "Criteria in force whose event history is not in yet, by partition",
            ["partition"],
            registry=registry,
        )
        self._invalid = Gauge(
            "cdp_definitions_invalid",
            "Applied versions that this worker could not use",
            registry=registry,
        )
        self._sampled: set[int] = set()
        self._audiences = AudienceMetrics(registry)
        self.backfill = BackfillProgress(registry, self._audiences.label)
        self._ready = Gauge(
            "cdp_ready", "1 while the worker is ready, as /readyz says", registry=registry
        )
        self._held = Gauge(
            "cdp_partitions_held", "Partitions of the input that this worker holds",
            registry=registry,
        )  # fmt: skip
        self._held.set_function(lambda: len(self._sampled))
        self._input_partitions = Gauge(
            "cdp_input_partitions", "Partitions that the input has", registry=registry
        )
        self._worker = Gauge(
            "cdp_worker_info", "1, with the worker's version and guarantee",
            ["version", "guarantee"], registry=registry,
        )  # fmt: skip
        self._changelog_rows = Counter(
            "cdp_changelog_rows_total", "Rows handed to the changelog, tombstones included",
            registry=registry,
        )  # fmt: skip
        self._recovered = Counter(
            "cdp_recovery_records_total", "Changelog records read in recoveries", registry=registry
        )
        self._recovery_seconds = Gauge(
            "cdp_recovery_seconds", "Duration of the latest recovery", registry=registry
        )

    def describe_worker(
        self, *, version: str, guarantee: str, partitions: int, ready: Callable[[], bool]
    ) -> None:
        """Say what stays as it is while the worker runs, and how to ask whether it is ready."""
        self._worker.labels(version, guarantee).set(1)
        self._input_partitions.set(partitions)
        self._ready.set_function(ready)

    def applied(self, partition: int, records: int, seconds: float, effects: Effects) -> None:
        """Count a slice of records."""
        self._records.labels(partition).inc(records)
        self._events.inc(effects.events)
        self._late.inc(effects.late_batches)
        self._future.inc(effects.future_records)
        for name, times in effects.implausible.items():
            self._implausible.labels(name).inc(times)
        self._slice_seconds.labels("records").observe(seconds)
        self._count_outputs(effects)

    def ticked(self, partition: int, late_ms: int, seconds: float, effects: Effects) -> None:
        """Count a slice of due instants, the earliest of which was ``late_ms`` behind the clock."""
        self._lateness.observe(max(0, late_ms) / 1000)
        self._slice_seconds.labels("due_instants").observe(seconds)
        self._count_outputs(effects)

    def swept(self, seconds: float, effects: Effects) -> None:
        """Count a slice of rows that other definitions have reached."""
        self._slice_seconds.labels("sweep").observe(seconds)
        self._count_outputs(effects)

    def transaction_ended(
        self, outcome: Literal["committed", "aborted", "fenced"], seconds: float | None = None
    ) -> None:
        """Count a transaction, and how long it took when it was committed."""
        self._transactions.labels(outcome).inc()
        if seconds is not None:
            self._transaction_seconds.observe(seconds)

    def sample(self, partition: int, *, lag: int, limit: int, processor: Processor) -> None:
        """Set what a partition's gauges show.

        Args:
            partition: Its number.
            lag: How many records wait.
            limit: The instant up to which its time may go now, epoch ms.
            processor: The partition's.
        """
        time, next_due = processor.time, processor.next_due()
        self._lag.labels(partition).set(lag)
        self._time.labels(partition).set(time / 1000)
        self._ahead.labels(partition).set(max(0, time - wall_ms()) / 1000)
        overdue = 0 if next_due is None else max(0, time - next_due)
        self._overdue.labels(partition).set(overdue / 1000)
        self._due_waiting.labels(partition).set(processor.due_waiting())
        version = processor.version or ""
        self._version.labels(partition).set(int(version) if version.isdecimal() else 0)
        self._unswept.labels(partition).set(processor.rows_to_sweep())
        self._missing.labels(partition).set(len(processor.missing))
        true_until = limit if next_due is None else min(limit, next_due)
        self._audiences.sample(partition, true_until, processor.audience_sizes())
        self._sampled.add(partition)

    def tell_rejects(self) -> None:
        """Write to the log what was rejected, or too large, since it was written a minute ago."""
        self._rejects.tell()
        self._oversized_outputs.tell()

    def definitions_invalid(self, versions: int) -> None:
        """Note how many applied versions could not be used."""
        self._invalid.set(versions)

    def forget(self, partition: int) -> None:
        """Drop the gauges of a partition that went to another worker."""
        if partition in self._sampled:
            self._sampled.discard(partition)
            self._audiences.forget(partition)
            for gauge in (
                self._lag, self._time, self._ahead, self._overdue, self._due_waiting,
                self._version, self._unswept, self._missing,
            ):  # fmt: skip
                gauge.remove(partition)

    def recovered(self, records: int, seconds: float) -> None:
        """Note a recovery."""
        self._recovered.inc(records)
        self._recovery_seconds.set(seconds)

    def _count_outputs(self, effects: Effects) -> None:
        for (audience, action), count in effects.changes.items():
            self._changes.labels(self._audiences.label(audience), action).inc(count)
        for output, count in Tally(output for output, _, _ in effects.outputs).items():
            self._forwarded.labels(output).inc(count)
        for output, count in effects.unidentified.items():
            self._unidentified.labels(output).inc(count)
        for output, count in effects.oversized.items():
            self._oversized.labels(output).inc(count)
            self._oversized_outputs.note(output, count)
        self._changelog_rows.inc(len(effects.rows))
        if not effects.rejected:
            return
        for reason, count in Tally(_reason(headers) for _, _, headers in effects.rejected).items():
            self._rejected.labels(reason).inc(count)
            self._rejects.note(reason, count)


def _reason(headers: Headers) -> str:
    return next((value.decode() for name, value in headers if name == "reason"), "unknown")
