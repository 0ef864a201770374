"""Every topic of the product: name, partitions, cleanup."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cdp_stream.formats.limits import CLOCK_SKEW_MS

__all__ = [
    "DEFINITIONS",
    "MOST_AHEAD",
    "SINK_TOPICS",
    "TOPICS",
    "TopicPlan",
    "output_topic",
    "rejected_topic",
]


def _days(number: int) -> dict[str, str]:
    return {"retention.ms": str(number * 86_400_000)}


_COMPACTED = {"max.compaction.lag.ms": str(86_400_000)}
"""The broker deletes what was erased or overwritten within a day, however little is written."""


MOST_AHEAD = "message.timestamp.after.max.ms"
"""Kafka's setting (3.6 or later) by which brokers refuse records too far ahead of their clock."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What one topic must be like.

    Attributes:
        suffix: What follows the prefix in its name.
        cleanup: Kafka's cleanup policy.
        settings: Further settings that it is created with; they are not checked.
        where_known: The same, for brokers that know them; older ones do not.
        partitions: How many it has; ``None``: as many as ``events``.
    """

    suffix: str
    cleanup: str
    settings: Mapping[str, str]
    partitions: int | None = None
    where_known: Mapping[str, str] = field(default_factory=dict)


TOPICS = (
    TopicPlan("events", "delete", _days(90), where_known={MOST_AHEAD: str(CLOCK_SKEW_MS)}),
    TopicPlan("memberships", "delete", _days(365)),
    TopicPlan("membership-state", "compact", _COMPACTED),
    # It must accept what the input accepted, compressed maybe, with some headers more.
    TopicPlan("rejected", "delete", {**_days(30), "max.message.bytes": str(16 * 1024 * 1024)}),
    # The row of a partition's definitions grows with them.
    TopicPlan(
        "profiles-changelog", "compact", {**_COMPACTED, "max.message.bytes": str(16 * 1024 * 1024)}
    ),
)
"""The topics of the profiles topology. All have as many partitions as ``events``, the first."""

DEFINITIONS = TopicPlan(
    "definitions",
    "compact",
    # All files of an account are one record. Replaced versions stay for a while: a partition that
    # was left in the middle of a write continues under the version of its rows.
    {"max.message.bytes": str(16 * 1024 * 1024), "min.compaction.lag.ms": str(7 * 86_400_000)},
    partitions=1,
)
"""The topic of applied definitions."""
SINK_TOPICS = (
    TopicPlan("faults", "compact", _COMPACTED, 1),
    TopicPlan("sink-state", "compact", {}, 1),
)
"""Those of the sinks that are no output's own. Every sinks process reads them as a whole."""


def output_topic(output: str) -> TopicPlan:
    """The messages for one output; kept for as long as a fault may last."""
    return TopicPlan(f"output.{output}", "delete", _days(30))


def rejected_topic(output: str) -> TopicPlan:
    """The messages that its partner will never accept."""
    return TopicPlan(f"output.{output}.rejected", "delete", _days(30))
