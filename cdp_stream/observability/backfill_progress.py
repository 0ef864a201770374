"""How far backfills are, by audience: in the log, for Prometheus and as JSON.

An audience waits until every partition has read its history. A worker knows the partitions that are
assigned to it, and combines their progress on request, in the thread of the request.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from cdp_stream.observability.audience_metrics import AskedGauge
from cdp_stream.observability.log import log

__all__ = ["BackfillProgress", "Reading"]

_RATE_OVER_S = 15.0
_LOG_EVERY_S = 5.0
_AUDIENCES_IN_LOG = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """The progress of one partition.

    Attributes:
        audiences: ids of those that wait.
        start: the offset at which it began.
        position: every record up to this offset has been read.
        end: the live position.
        events: how many events were read.
        log_is_shorter: whether the log does not reach back as far as the audiences do.
        state: ``reading``; ``merging`` once what was read is put into the profiles.
    """

    audiences: Collection[str]
    start: int
    position: int
    end: int
    events: int
    log_is_shorter: bool
    state: str = "reading"

    @property
    def total(self) -> int:
        """Records to read in all."""
        return max(0, self.end - self.start + 1)

    @property
    def left(self) -> int:
        """Records that are left to read."""
        return 0 if self.state == "merging" else max(0, self.end - self.position)


@dataclass(slots=True)
class _Partition:
    reading: Reading
    samples: deque[tuple[float, int, int]] = field(default_factory=deque)

    def rates(self) -> tuple[float, float]:
        """Recent records and events per second."""
        samples = list(self.samples)
        if len(samples) < 2 or samples[-1][0] <= samples[0][0]:  # noqa: PLR2004 - from, to
            return 0.0, 0.0
        (began, first, before), (now, last, events) = samples[0], samples[-1]
        return (last - first) / (now - began), (events - before) / (now - began)


class BackfillProgress:
    """The backfills of the partitions of this worker.

    Args:
        registry: Where the metrics are.
        label: The label of an audience in metrics.
        now: Seconds of a steady clock.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        label: Callable[[str], str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label = label
        self._now = now
        self._partitions: dict[int, _Partition] = {}
        self._logged_at = 0.0
        self._events = Counter(
            "cdp_backfill_events_total", "Events read from the log for new criteria",
            registry=registry,
        )  # fmt: skip
        for name, label_name, read, text in (
            ("cdp_backfill_progress_ratio", "audience", self._ratios,
             "How much of an audience's history has been read, 0 to 1"),
            ("cdp_backfill_seconds_left", "audience", self._seconds_left,
             "Expected remaining time of an audience's history"),
            ("cdp_backfill_records_left", "partition", self._records_left,
             "Records that a backfill has yet to read, by partition"),
            ("cdp_backfill_log_is_shorter", "partition", self._shorter,
             "1 where the log does not reach back as far as the criteria that are backfilled"),
        ):  # fmt: skip
            registry.register(AskedGauge(name, text, label_name, read))

    def note(self, partition: int, reading: Reading) -> None:
        """Note the progress of a partition."""
        now = self._now()
        known = self._partitions.get(partition)
        if known is None or known.reading.start != reading.start:
            known = self._partitions[partition] = _Partition(reading)
        known.reading = reading
        known.samples.append((now, reading.position, reading.events))
        while now - known.samples[0][0] > _RATE_OVER_S:
            known.samples.popleft()

    def read(self, events: int) -> None:
        """Count events that were read."""
        self._events.inc(events)

    def forget(self, partition: int) -> None:
        """Forget a partition: its backfill has ended, or belongs to another worker."""
        self._partitions.pop(partition, None)

    def log_now_and_then(self) -> None:
        """Log a line for each audience, every few seconds."""
        now = self._now()
        if not self._partitions or now - self._logged_at < _LOG_EVERY_S:
            return
        self._logged_at = now
        audiences = self.as_json()["audiences"]
        for audience in audiences[:_AUDIENCES_IN_LOG]:
            log("backfill", **{name: value for name, value in audience.items()
                               if name != "partitions"})  # fmt: skip
        if len(audiences) > _AUDIENCES_IN_LOG:
            log("backfill", level=logging.INFO, more_audiences=len(audiences) - _AUDIENCES_IN_LOG)

    def as_json(self) -> dict[str, Any]:
        """The body of an answer to `/backfill`."""
        return {
            "audiences": [
                {"audience": audience, **_report(partitions)}
                for audience, partitions in sorted(self._by_audience().items())
            ]
        }

    def _by_audience(self) -> dict[str, dict[int, _Partition]]:
        found: dict[str, dict[int, _Partition]] = {}
        for number, partition in sorted(dict(self._partitions).items()):
            for audience in partition.reading.audiences:
                found.setdefault(audience, {})[number] = partition
        return found

    def _ratios(self) -> Mapping[str, float]:
        found = self._by_audience().items()
        return {self._label(audience): _ratio(partitions) for audience, partitions in found}

    def _seconds_left(self) -> Mapping[str, float]:
        found = {audience: _left_s(parts) for audience, parts in self._by_audience().items()}
        return {self._label(one): left for one, left in found.items() if left is not None}

    def _records_left(self) -> Mapping[str, float]:
        return {str(n): one.reading.left for n, one in dict(self._partitions).items()}

    def _shorter(self) -> Mapping[str, float]:
        return {str(n): one.reading.log_is_shorter for n, one in dict(self._partitions).items()}


def _report(partitions: Mapping[int, _Partition]) -> dict[str, Any]:
    left = _left_s(partitions)
    readings = {str(number): one.reading for number, one in partitions.items()}
    return {
        "percent": round(100 * _ratio(partitions), 1),
        "events": sum(reading.events for reading in readings.values()),
        "events_per_second": round(sum(one.rates()[1] for one in partitions.values())),
        "seconds_left": None if left is None else round(left),
        "log_is_shorter": any(reading.log_is_shorter for reading in readings.values()),
        "partitions": {
            number: {
                "state": reading.state,
                "start": reading.start,
                "position": reading.position,
                "end": reading.end,
            }
            for number, reading in readings.items()
        },
    }


def _ratio(partitions: Mapping[int, _Partition]) -> float:
    total = sum(one.reading.total for one in partitions.values())
    left = sum(one.reading.left for one in partitions.values())
    return (total - left) / total if total else 1.0


def _left_s(partitions: Mapping[int, _Partition]) -> float | None:
    """Partitions are read in parallel: the longest counts; ``None`` while one has no rate yet."""
    longest = 0.0
    for one in partitions.values():
        if one.reading.left:
            rate, _ = one.rates()
            if rate <= 0:
                return None
            longest = max(longest, one.reading.left / rate)
    return longest
