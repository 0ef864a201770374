"""What is kept beside the group's position, and by whom, without a broker."""

from __future__ import annotations

import pytest

from cdp_stream.sinks.offsets.assignment import Assignment
from cdp_stream.sinks.offsets.progress import Progress
from cdp_stream.sinks.output.committer import Committer
from cdp_stream.sinks.state.sink_state import SinkState
from tests.sinks.without_kafka import App, Producer, assignment, context, state_topics

OF_A = {"connections": {"a@out": {"offset": 0, "seen": 2, "owed": 1, "since": 5}}}


class Owner:
    """One worker that has a partition: `a@out` is stopped, and misses the first of two."""

    app: App
    assignment: Assignment
    committer: Committer

    @classmethod
    async def of(cls, state: SinkState) -> Owner:
        made = cls()
        progress = Progress(0, None, {"a@out"})
        of = context(state=state)
        made.app = of.app
        made.assignment = await assignment(of, progress)
        made.committer = Committer(of, made.assignment)
        assert not progress.admit(0, "a@out", dated=5)
        assert progress.admit(1, "b@out", dated=5)
        progress.read(2)
        progress.confirm(1, "b@out")
        return made


@pytest.fixture
def state() -> SinkState:
    return state_topics(Producer())[1]


async def test_what_the_group_s_position_cannot_say_is_kept_before_it_moves(
    state: SinkState,
) -> None:
    owner = await Owner.of(state)
    await owner.committer.commit()
    assert state.kept("out", 0) == OF_A
    assert owner.app.positions == {0: 2}


@pytest.mark.parametrize("final", [False, True])
async def test_who_may_have_lost_its_partitions_keeps_nothing_and_moves_nothing(
    state: SinkState, final: bool
) -> None:
    owner = await Owner.of(state)
    owner.app.holds_lease = False
    await owner.committer.commit(final=final)
    assert state.kept("out", 0) is None
    assert owner.app.positions == {}
    owner.app.holds_lease = True
    await owner.committer.commit(final=final)
    assert state.kept("out", 0) == OF_A
    assert owner.app.positions == {0: 2}


async def test_what_another_wrote_over_ours_is_written_again(state: SinkState) -> None:
    owner = await Owner.of(state)
    await owner.committer.commit()
    await state.keep("out", 0, None)
    await owner.committer.commit()
    assert state.kept("out", 0) == OF_A


async def test_who_was_slow_writes_nothing_over_what_its_successor_keeps(state: SinkState) -> None:
    slow, successor = await Owner.of(state), await Owner.of(state)
    await slow.committer.commit()
    slow.app.holds_lease = False
    progress = slow.assignment.partitions[0].progress
    progress.resume("a@out")
    assert progress.admit(0, "a@out", dated=5)
    progress.read(2)
    progress.confirm(0, "a@out")
    await successor.committer.commit()
    await slow.committer.commit(final=True)
    assert state.kept("out", 0) == OF_A
