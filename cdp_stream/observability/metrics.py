"""What the worker counts, for Prometheus; ``docs/metrics.md`` explains each.

Labels never contain a profile, an event name or any other text from input: partitions, reasons,
audiences and actions only.
"""

from collections import Counter as Tally
from collections.abc import Callable
from functools import partial
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
)

from cdp_stream.formats.rejects import Reason
from cdp_stream.observability.audience_metrics import AudienceMetrics
from cdp_stream.observability.backfill_progress import BackfillProgress
from cdp_stream.observability.log import Tallied
from cdp_stream.partition.effects import Effects, Headers
from cdp_stream.partition.processor import ProfileProcessor
from cdp_stream.wall_clock import wall_ms

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LATENESS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 300.0, 3600.0, 86400.0)


_OF_PARTITION = {
    "cdp_input_lag_records": "Records that wait in the input, by partition",
    "cdp_partition_time_seconds": "A partition's time, seconds since the epoch",
    "cdp_partition_ahead_seconds": (
        "How far a partition's time is ahead of the wall clock; 0 where it is not"
    ),
    "cdp_due_instant_overdue_seconds": (
        "How far a partition's time is past its earliest due instant that has not fired"
    ),
    "cdp_due_instants_waiting": "Due instants that have not fired yet, by partition",
    "cdp_definitions_version": (
        "Version of the definitions in force, by partition; 0 where they are from files"
    ),
    "cdp_definitions_rows_waiting": (
        "Rows not migrated yet to the definitions in force, by partition"
    ),
    "cdp_definitions_histories_waiting": (
        "Criteria in force whose event history has not been read yet, by partition"
    ),
}


class Metrics:
    """The metrics of one worker, in a registry of their own.

    Attributes:
        registry: Where they are.
        backfill: The progress of backfills.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        seconds = partial(Histogram, buckets=_SECONDS, registry=registry)
        self._records = counter(
            "cdp_input_records_total", "Records applied, by partition", ["partition"]
        )
        self._events = counter("cdp_events_total", "Events in the batches applied")
        self._slice_seconds = seconds(
            "cdp_slice_evaluation_seconds", "Time to evaluate one slice of a chunk or of a tick",
            ["kind"],
        )  # fmt: skip
        self._lateness = Histogram(
            "cdp_due_instant_lateness_seconds",
            "How far the clock was past the earliest due instant of a tick",
            buckets=_LATENESS, registry=registry,
        )  # fmt: skip
        self._transactions = counter(
            "cdp_transactions_total", "Kafka transactions, by how they ended", ["outcome"]
        )
        for outcome in ("committed", "aborted", "fenced"):
            self._transactions.labels(outcome)
        self._transaction_seconds = seconds(
            "cdp_transaction_seconds", "From the begin of a transaction to its commit"
        )
        self._changelog_rows = counter(
            "cdp_changelog_rows_total", "Rows handed to the changelog, tombstones included"
        )
        self._recovered = counter(
            "cdp_recovery_records_total", "Changelog records read in recoveries"
        )
        self._recovery_seconds = gauge("cdp_recovery_seconds", "Duration of the latest recovery")
        self._of_partition = {
            name: gauge(name, text, ["partition"]) for name, text in _OF_PARTITION.items()
        }
        self._sampled: set[int] = set()
        self._audiences = AudienceMetrics(registry)
        self.backfill = BackfillProgress(registry, self._audiences.label)
        self._count_input_faults(counter)
        self._count_messages(counter)
        self._describe(gauge)

    def _count_input_faults(self, counter: partial[Counter]) -> None:
        self._late = counter(
            "cdp_late_batches_total",
            "Ignored batches: the profiles that they would have begun had ended",
        )
        self._future = counter(
            "cdp_future_records_total", "Records too far ahead of the wall clock to move time"
        )
        self._implausible = counter(
            "cdp_implausible_times_total", "Times of events before the year 2000, by input",
            ["input"],
        )  # fmt: skip
        self._rejected = counter(
            "cdp_rejected_records_total", "Records and events published as rejected, by reason",
            ["reason"],
        )  # fmt: skip
        for reason in Reason:
            # A counter that exists at 0 can be monitored; one that appears later shows no rise.
            self._rejected.labels(reason.value)
        self._rejects = Tallied(
            "records_rejected", next="cdp rejected shows them; docs/events.md has the reasons"
        )

    def _count_messages(self, counter: partial[Counter]) -> None:
        self._changes = counter(
            "cdp_membership_changes_total", "Membership changes, by audience and action",
            ["audience", "action"],
        )  # fmt: skip
        self._forwarded = counter(
            "cdp_output_messages_total", "Messages published for an output, by output", ["output"]
        )
        self._unidentified = counter(
            "cdp_output_unidentified_total",
            "Messages not published for an output, which accepts none of the profile's identities",
            ["output"],
        )
        self._oversized = counter(
            "cdp_output_oversized_total",
            "Messages too large for Kafka, published without shared attributes or not at all",
            ["output"],
        )
        self._oversized_outputs = Tallied(
            "output_messages_too_large",
            kind="output",
            next="share fewer or shorter attributes with it (docs/outputs.md, shared attributes)",
        )

    def _describe(self, gauge: partial[Gauge]) -> None:
        self._invalid = gauge(
            "cdp_definitions_invalid", "Applied versions that this worker could not use"
        )
        self._ready = gauge("cdp_ready", "1 while /readyz answers 200")
        held = gauge("cdp_partitions_held", "Partitions of the input assigned to this worker")
        held.set_function(lambda: len(self._sampled))
        self._input_partitions = gauge("cdp_input_partitions", "Partitions that the input has")
        self._worker = gauge(
            "cdp_worker_info", "1, with the worker's version and guarantee",
            ["version", "guarantee"],
        )  # fmt: skip

    def describe_worker(
        self, *, version: str, guarantee: str, partitions: int, ready: Callable[[], bool]
    ) -> None:
        """Set what does not change while the worker runs, and how to find out if it is ready."""
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

    def migrated(self, seconds: float, effects: Effects) -> None:
        """Count a slice of rows that were migrated to other definitions."""
        self._slice_seconds.labels("sweep").observe(seconds)
        self._count_outputs(effects)

    def transaction_ended(
        self, outcome: Literal["committed", "aborted", "fenced"], seconds: float | None = None
    ) -> None:
        """Count a transaction, and how long it took when it was committed."""
        self._transactions.labels(outcome).inc()
        if seconds is not None:
            self._transaction_seconds.observe(seconds)

    def sample(self, partition: int, *, lag: int, limit: int, processor: ProfileProcessor) -> None:
        """Set the gauges of a partition.

        Args:
            partition: Its number.
            lag: How many records wait.
            limit: The instant up to which its time may go now, epoch ms.
            processor: The partition's.
        """
        time, next_due, rollout = processor.time, processor.next_due(), processor.rollout
        overdue = 0 if next_due is None else max(0, time - next_due)
        version = rollout.version or ""
        for name, value in {
            "cdp_input_lag_records": lag,
            "cdp_partition_time_seconds": time / 1000,
            "cdp_partition_ahead_seconds": max(0, time - wall_ms()) / 1000,
            "cdp_due_instant_overdue_seconds": overdue / 1000,
            "cdp_due_instants_waiting": processor.due_waiting(),
            "cdp_definitions_version": int(version) if version.isdecimal() else 0,
            "cdp_definitions_rows_waiting": rollout.rows_to_migrate(),
            "cdp_definitions_histories_waiting": len(rollout.missing),
        }.items():
            self._of_partition[name].labels(partition).set(value)
        true_until = limit if next_due is None else min(limit, next_due)
        self._audiences.sample(partition, true_until, processor.audience_sizes())
        self._sampled.add(partition)

    def log_rejects(self) -> None:
        """Log what was rejected, or too large, at most once a minute."""
        self._rejects.log_due()
        self._oversized_outputs.log_due()

    def definitions_invalid(self, versions: int) -> None:
        """Note how many applied versions could not be used."""
        self._invalid.set(versions)

    def forget(self, partition: int) -> None:
        """Drop the gauges of a partition that belongs to another worker now."""
        if partition in self._sampled:
            self._sampled.discard(partition)
            self._audiences.forget(partition)
            for gauge in self._of_partition.values():
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
