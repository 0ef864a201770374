"""Metrics of each audience: how many members it has, and how old that state is.

An audience is in every partition, so both are computed over all partitions of this worker, and only
on request. There may be ten thousand audiences; to protect the monitoring system, the first
thousand have a label of their own and the rest share one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cdp_stream.wall_clock import wall_ms

__all__ = ["NAMED_AUDIENCES", "OTHER", "AskedGauge", "AudienceMetrics"]

NAMED_AUDIENCES = 1_000
OTHER = "(other)"
"""The label of audiences beyond those; no audience id is written so."""


class AudienceMetrics:
    """The audiences of the partitions of this worker.

    Args:
        registry: Where they are registered.
        now_ms: The wall clock, epoch ms.
    """

    def __init__(self, registry: CollectorRegistry, now_ms: Callable[[], int] = wall_ms) -> None:
        self._now_ms = now_ms
        self._sizes: dict[int, Mapping[str, int] | None] = {}
        self._until: dict[int, int] = {}
        self._named: dict[str, None] = {}
        for name, text, label, read in (
            (
                "cdp_audience_members",
                "Members in the partitions of this worker, by audience",
                "audience",
                self._members,
            ),
            (
                "cdp_audience_freshness_seconds",
                "Age of the state of an audience's members, in this worker's partitions",
                "audience",
                self._audience_freshness,
            ),
            (
                "cdp_partition_freshness_seconds",
                "Age of the state of a partition",
                "partition",
                self._partition_freshness,
            ),
        ):
            registry.register(AskedGauge(name, text, label, read))

    def label(self, audience: str) -> str:
        """The label of an audience."""
        if audience in self._named:
            return audience
        if len(self._named) < NAMED_AUDIENCES:
            self._named[audience] = None
            return audience
        return OTHER

    def sample(self, partition: int, true_until: int, sizes: Mapping[str, int] | None) -> None:
        """Note the present state of a partition.

        Args:
            partition: Its number.
            true_until: The instant up to which all is applied, epoch ms.
            sizes: Members by audience id, live; ``None`` while they are not known.
        """
        self._until[partition] = true_until
        self._sizes[partition] = sizes

    def forget(self, partition: int) -> None:
        """Forget a partition that belongs to another worker now."""
        self._until.pop(partition, None)
        self._sizes.pop(partition, None)

    # These methods run in the thread that answers: they copy before they iterate.

    def _members(self) -> Mapping[str, float]:
        parts = list(self._sizes.values())
        members: dict[str, float] = {}
        for sizes in parts:
            if sizes is None:
                return {}  # a part of all would look like a loss
            for audience, size in dict(sizes).items():
                label = self.label(audience)
                members[label] = members.get(label, 0) + size
        return members

    def _audience_freshness(self) -> Mapping[str, float]:
        oldest = max(self._partition_freshness().values(), default=None)
        if oldest is None:
            return {}
        known = [sizes for sizes in list(self._sizes.values()) if sizes is not None]
        return {self.label(audience): oldest for sizes in known for audience in dict(sizes)}

    def _partition_freshness(self) -> Mapping[str, float]:
        now = self._now_ms()
        return {
            str(partition): max(0, now - until) / 1000
            for partition, until in dict(self._until).items()
        }


class AskedGauge(Collector):
    """A gauge with one label whose values are computed on request."""

    def __init__(
        self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        self._name = name
        self._text = text
        self._labelnames = (label,)
        self._read = read

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """The metric without values, so that it is registered under its name."""
        return [GaugeMetricFamily(self._name, self._text, labels=self._labelnames)]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metric with a value for each label."""
        family = GaugeMetricFamily(self._name, self._text, labels=self._labelnames)
        for label, value in self._read().items():
            family.add_metric([label], value)
        yield family
