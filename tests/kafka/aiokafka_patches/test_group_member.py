"""What a consumer's coordinator knows of its group, and how a consumer leaves it."""

import inspect
from types import SimpleNamespace

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.group import HeartbeatRequest
from faust.transport.drivers import aiokafka as driver

from cdp_stream.kafka.aiokafka_patches.group_member import GroupMembership, is_member


class Coordinator:
    """Stands where a consumer's coordinator stands: answers every heartbeat with one code."""

    def __init__(self, code):
        self.code = code

    async def _send_req(self, request):
        return SimpleNamespace(error_code=self.code)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0, True), (27, True), (22, False), (25, False), (14, None), (15, None), (16, None)],
)
async def test_the_coordinator_knows_a_member_or_not_or_does_not_answer(code, expected):
    consumer = SimpleNamespace(_coordinator=Coordinator(code))
    assert await is_member(consumer, GroupMembership("g", 3, "m")) is expected


# -- what the patch relies on inside aiokafka 0.14.0 -----------------------------------------------


def source(thing) -> str:
    return inspect.getsource(thing)


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_a_consumer_leaves_by_this_step_and_only_from_generation_1_on():
    leave = source(GroupCoordinator._maybe_leave_group)
    assert "if self.generation > 0 and " in leave
    assert "LeaveGroupRequest(self.group_id, self.member_id)" in leave
    assert "await self._maybe_leave_group()" in source(GroupCoordinator.close)


def test_a_coordinator_knows_its_generation_and_forgets_it_when_it_is_put_out():
    made = source(GroupCoordinator.__init__)
    assert "self.generation = OffsetCommitRequest.DEFAULT_GENERATION_ID" in made
    assert "self.member_id = JoinGroupRequest.UNKNOWN_MEMBER_ID" in made
    # That is why membership is read at assignment, and not as positions are moved.
    assert "self.generation = " in source(GroupCoordinator.reset_generation)


def test_fausts_generation_is_the_coordinators_which_answers_as_a_client_does():
    assigned = source(driver.ConsumerRebalanceListener.on_partitions_assigned)
    assert "generation = self._thread._ensure_consumer()._coordinator.generation" in assigned
    assert "self._thread.app.consumer_generation_id = generation" in assigned
    assert "resp = await self._client.send(" in source(GroupCoordinator._send_req)
    assert parameters(HeartbeatRequest.__init__) == ["self", "group", "generation_id", "member_id"]
