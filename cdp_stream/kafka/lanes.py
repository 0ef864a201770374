"""The lane of each assigned partition, under the guarantee that is given."""

from collections.abc import Callable
from functools import partial
from typing import Any

from cdp_stream.kafka.aiokafka_patches.group_member import GroupMembership
from cdp_stream.kafka.commit.at_least_once import AtLeastOnceLane
from cdp_stream.kafka.commit.exactly_once import ExactlyOnceLane
from cdp_stream.kafka.commit.partition_producer import PartitionProducer
from cdp_stream.kafka.commit.record_writer import Lane
from cdp_stream.kafka.faust_adapter.table import ProfileTable
from cdp_stream.kafka.metrics import Metrics
from cdp_stream.kafka.runtime.task_context import HostingPlan
from cdp_stream.kafka.topics.topic_partition import TopicPartition

__all__ = ["Lanes"]


class Lanes:
    """Makes lanes.

    Args:
        app: The Faust app; its consumer and producer are used once they run.
        plan: Which guarantee, which topics.
        table: Its store is told what is in the changelog.
        metrics: Where to count.
        fail: Called with the partition and the reason when its lane has failed.
        freed: Called whenever a lane has room again.
    """

    def __init__(
        self,
        app: Any,
        plan: HostingPlan,
        table: ProfileTable,
        metrics: Metrics,
        *,
        fail: Callable[[int, BaseException], None],
        freed: Callable[[], None],
    ) -> None:
        self._app = app
        self._plan = plan
        self._table = table
        self._metrics = metrics
        self._fail = fail
        self._freed = freed
        self._membership = GroupMembership(plan.group, -1, "")

    def join_generation(self) -> None:
        """Move positions, from now on, as a member of the group's present generation.

        Called at assignment alone: who is not of the generation that gave it its partitions may
        move nothing.
        """
        self._membership = self._app.consumer.membership(self._plan.group)

    def create(self, number: int) -> Lane:
        """The lane of a partition, not yet open."""
        tp, consumer = TopicPartition(self._plan.events, number), self._app.consumer
        confirm = partial(self._table.store.confirm, number)
        if not self._plan.exactly_once:
            return AtLeastOnceLane(
                lambda: self._app.aiokafka_producer,
                self._plan.topics,
                number,
                advance=partial(consumer.advance, tp),
                confirm=confirm,
                fail=partial(self._fail, number),
                freed=self._freed,
                room=self._plan.delivering,
            )
        return ExactlyOnceLane(
            self._producer(number),
            self._plan.topics,
            number,
            committed=partial(consumer.moved, tp),
            confirm=confirm,
            fail=partial(self._fail, number),
            freed=self._freed,
            room=self._plan.delivering,
        )

    def _producer(self, number: int) -> PartitionProducer:
        return PartitionProducer(
            self._plan.client,
            f"{self._plan.group}-{number}",
            TopicPartition(self._plan.events, number),
            targets=self._plan.topics.names,
            membership=lambda: self._membership,
            metrics=self._metrics,
        )
