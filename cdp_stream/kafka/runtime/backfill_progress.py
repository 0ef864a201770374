"""How far backfills are, by audience: for people, for Prometheus and as JSON.

An audience waits until every partition has read its history. This worker knows of those that it
holds; what it tells is put together when somebody asks, in whatever thread that is.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from cdp_stream.kafka.audience_metrics import AskedGauge
from cdp_stream.kafka.log import log

__all__ = ["BackfillProgress", "Reading"]

_RATE_OVER_S = 15.0
_LOG_EVERY_S = 5.0
_AUDIENCES_IN_LOG = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """How far one partition is.

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
        """Records and events per second, of late."""
        samples = list(self.samples)
        if len(samples) < 2 or samples[-1][0] <= samples[0][0]:  # noqa: PLR2004 - from, to
            return 0.0, 0.0
        (began, first, before), (now, last, events) = samples[0], samples[-1]
        return (last - first) / (now - began), (events - before) / (now - began)


class BackfillProgress:
    """The backfills of the partitions that this worker holds.

    Args:
        registry: Where the metrics are told.
        label: The name under which an audience is told in metrics.
        now: A monotonic clock, seconds.
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
        for name, text, label_name, read in (
            (
                "cdp_backfill_progress_ratio",
                "How much of an audience's history has been read, 0 to 1",
                "audience",
                self._ratios,
            ),
            (
                "cdp_backfill_seconds_left",
                "How long an audience's history is expected to take yet",
                "audience",
                self._seconds_left,
            ),
            (
                "cdp_backfill_records_left",
                "Records that a backfill has yet to read, by partition",
                "partition",
                self._records_left,
            ),
            (
                "cdp_backfill_log_is_shorter",
                "1 where the log does not reach back as far as the criteria that are backfilled",
                "partition",
                self._shorter,
            ),
        ):
            registry.register(AskedGauge(name, text, label_name, read))

    def note(self, partition: int, reading: Reading) -> None:
        """Take in how far a partition is."""
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
        """A partition's backfill has ended, or is another worker's."""
        self._partitions.pop(partition, None)

    def log_now_and_then(self) -> None:
        """A line for each audience, every few seconds."""
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
        """What `/backfill` answers."""
        return {
            "audiences": [
                {"audience": audience, **_told(parts)}
                for audience, parts in sorted(self._by_audience().items())
            ]
        }

    def _by_audience(self) -> dict[str, dict[int, _Partition]]:
        found: dict[str, dict[int, _Partition]] = {}
        for number, part in sorted(dict(self._partitions).items()):
            for audience in part.reading.audiences:
                found.setdefault(audience, {})[number] = part
        return found

    def _ratios(self) -> Mapping[str, float]:
        return {
            self._label(audience): _ratio(parts) for audience, parts in self._by_audience().items()
        }

    def _seconds_left(self) -> Mapping[str, float]:
        left = {
            self._label(audience): _left_s(parts) for audience, parts in self._by_audience().items()
        }
        return {label: seconds for label, seconds in left.items() if seconds is not None}

    def _records_left(self) -> Mapping[str, float]:
        return {str(n): part.reading.left for n, part in dict(self._partitions).items()}

    def _shorter(self) -> Mapping[str, float]:
        return {
            str(n): int(part.reading.log_is_shorter) for n, part in dict(self._partitions).items()
        }


def _told(parts: Mapping[int, _Partition]) -> dict[str, Any]:
    left = _left_s(parts)
    return {
        "percent": round(100 * _ratio(parts), 1),
        "events": sum(part.reading.events for part in parts.values()),
        "events_per_second": round(sum(part.rates()[1] for part in parts.values())),
        "seconds_left": None if left is None else round(left),
        "log_is_shorter": any(part.reading.log_is_shorter for part in parts.values()),
        "partitions": {
            str(number): {
                "state": part.reading.state,
                "start": part.reading.start,
                "position": part.reading.position,
                "end": part.reading.end,
            }
            for number, part in parts.items()
        },
    }


def _ratio(parts: Mapping[int, _Partition]) -> float:
    total = sum(part.reading.total for part in parts.values())
    left = sum(part.reading.left for part in parts.values())
    return (total - left) / total if total else 1.0


def _left_s(parts: Mapping[int, _Partition]) -> float | None:
    """Partitions are read side by side: the longest counts; None when that cannot be said yet."""
    longest = 0.0
    for part in parts.values():
        if part.reading.left:
            rate, _ = part.rates()
            if rate <= 0:
                return None
            longest = max(longest, part.reading.left / rate)
    return longest
