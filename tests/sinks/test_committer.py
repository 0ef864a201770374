"""What is kept beside the group's position, and by whom, without a broker."""

from __future__ import annotations

import time

import pytest

from cdp_stream.sinks.offsets.assigned_partition import AssignedPartition
from cdp_stream.sinks.offsets.assignment import Assignment
from cdp_stream.sinks.offsets.positions import SinkPlan
from cdp_stream.sinks.offsets.progress import Progress
from cdp_stream.sinks.output.audience_deletions import AudienceDeletions
from cdp_stream.sinks.output.committer import Committer
from cdp_stream.sinks.state.sink_state import SinkState
from tests.sinks.without_kafka import App, Producer, state_topics

SESSION_S = 10.0
OF_A = {"connections": {"a@out": {"offset": 0, "seen": 2, "owed": 1, "since": 5}}}


class Holder:
    """One worker that holds a partition: `a@out` stands still, and misses the first of two."""

    def __init__(self, state: SinkState) -> None:
        self.app = App()
        plan = SinkPlan("out", "cdp.output.out", "cdp.output.out.rejected", 1, {}, SESSION_S)
        self.partitions = Assignment(self.app, plan)
        progress = Progress(0, None, {"a@out"})
        self.partitions.held = {0: AssignedPartition(0, progress, None)}
        deletions = AudienceDeletions(state, 1, act=lambda _: None, done=lambda _: None)
        self.committing = Committer(plan, self.partitions, state, deletions)
        assert not progress.take(0, "a@out", dated=5)
        assert progress.take(1, "b@out", dated=5)
        progress.read(2)
        progress.confirm(1, "b@out")

    def lose_lease(self) -> None:
        self.app.observer.lease_at = time.monotonic() - SESSION_S

    def renew_lease(self) -> None:
        self.app.observer.lease_at = time.monotonic()


@pytest.fixture
def state() -> SinkState:
    return state_topics(Producer())[1]


async def test_what_the_group_s_position_cannot_say_is_kept_before_it_moves(
    state: SinkState,
) -> None:
    holder = Holder(state)
    await holder.committing.commit()
    assert state.kept("out", 0) == OF_A
    assert holder.app.positions == {0: 2}


@pytest.mark.parametrize("final", [False, True])
async def test_who_may_have_lost_its_partitions_keeps_nothing_and_moves_nothing(
    state: SinkState, final: bool
) -> None:
    holder = Holder(state)
    holder.lose_lease()
    await holder.committing.commit(final=final)
    assert state.kept("out", 0) is None
    assert holder.app.positions == {}
    holder.renew_lease()
    await holder.committing.commit(final=final)
    assert state.kept("out", 0) == OF_A
    assert holder.app.positions == {0: 2}


async def test_what_another_wrote_over_ours_is_written_again(state: SinkState) -> None:
    holder = Holder(state)
    await holder.committing.commit()
    await state.keep("out", 0, None)
    await holder.committing.commit()
    assert state.kept("out", 0) == OF_A


async def test_who_was_slow_writes_nothing_over_what_its_successor_keeps(state: SinkState) -> None:
    slow, successor = Holder(state), Holder(state)
    await slow.committing.commit()
    slow.lose_lease()
    progress = slow.partitions.held[0].progress
    progress.resume("a@out")
    assert progress.take(0, "a@out", dated=5)
    progress.read(2)
    progress.confirm(0, "a@out")
    await successor.committing.commit()
    await slow.committing.commit(final=True)
    assert state.kept("out", 0) == OF_A
