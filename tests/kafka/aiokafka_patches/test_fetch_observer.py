"""What a broker's answers prove: when a partition was at its end, and that an offset is gone."""

import asyncio
import inspect
from types import SimpleNamespace

import aiokafka
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.errors import NodeNotReadyError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest
from aiokafka.protocol.offset import OffsetRequest

from cdp_stream.kafka.aiokafka_patches.fetch_observer import (
    BELIEVED_AFTER_S,
    EndSeen,
    FetchObserver,
)

EVENTS = ("events", 0)
LEADER_NOT_AVAILABLE = 5
"""What a leader answers to ListOffsets that does not know yet how far its log was acknowledged."""


class Broker:
    """Stands where aiokafka's client stands: answers a fetch an hour after it was sent.

    Attributes:
        end: the end offset that it gives when it is asked for that; an error code if negative.
    """

    def __init__(self):
        self.now = 1_000
        self.seconds = 0.0
        self.observer = FetchObserver(
            now_ms=lambda: self.now, clock=lambda: self.seconds, pause_s=0.0
        )
        self.answer = None
        self.end = 0
        self.meanwhile = lambda: None
        self.asked = []
        self.observer.attach(SimpleNamespace(_client=self))

    async def send(self, node_id, request, **_options):
        if isinstance(request, OffsetRequest):
            return self._ends(node_id, request)
        self.now += 3_600_000
        self.meanwhile()
        return self.answer

    def _ends(self, node_id, request):
        self.asked.append((node_id, request._isolation_level, request._topics))
        if self.end is None:
            raise NodeNotReadyError
        error, end = (-self.end, -1) if self.end < 0 else (0, self.end)
        topics = [(name, [(number, error, -1, end) for number, _ in parts])
                  for name, parts in request._topics]  # fmt: skip
        return SimpleNamespace(topics=topics)

    async def close(self):
        pass


@pytest.fixture
def broker():
    return Broker()


async def fetch(broker, offset, *, highwater, error=0, end=None, node_id=0):
    broker.end = highwater if end is None else end
    broker.answer = SimpleNamespace(
        topics=[("events", [(0, error, highwater, highwater, [], b"")])], API_VERSION=4
    )
    request = FetchRequest(100, 1, 1000, 1, [("events", [(0, offset, 500)])], rack_id="")
    await broker.send(node_id, request)
    for _ in range(3):  # for what asks for the end
        await asyncio.sleep(0)


async def test_an_end_was_seen_as_of_when_the_fetch_was_sent_not_when_it_was_answered(broker):
    broker.observer.handed_over(EVENTS, 6)
    await fetch(broker, 7, highwater=7)
    assert broker.observer.ends == {EVENTS: EndSeen(asked_at=1_000, after=6, end=7)}


async def test_records_handed_over_while_the_fetch_was_under_way_do_not_count(
    broker,
):
    broker.observer.handed_over(EVENTS, 6)
    broker.meanwhile = lambda: broker.observer.handed_over(EVENTS, 9)
    await fetch(broker, 7, highwater=7)
    assert broker.observer.ends[EVENTS].after == 6


async def test_while_something_lies_beyond_the_end_is_not_seen(broker):
    await fetch(broker, 7, highwater=8)
    assert broker.observer.ends == {}
    assert broker.asked == []
    assert broker.observer.highwaters == {EVENTS: 8}
    assert broker.observer.answered_at.keys() == {EVENTS}


async def test_an_end_is_confirmed_by_the_broker_that_showed_it_with_open_transactions(broker):
    await fetch(broker, 7, highwater=7, node_id=2)
    assert broker.asked == [(2, 0, [("events", [(0, -1)])])]


async def test_a_leader_that_does_not_know_its_end_yet_proves_none(broker):
    await fetch(broker, 7, highwater=7, end=-LEADER_NOT_AVAILABLE)
    assert broker.observer.ends == {}


async def test_a_leader_that_knows_of_more_by_now_proves_no_end(broker):
    await fetch(broker, 7, highwater=7, end=9)
    assert broker.observer.ends == {}
    assert broker.observer.highwaters == {EVENTS: 9}


async def test_a_broker_that_gives_its_end_too_low_is_believed_by_its_fetch(broker):
    await fetch(broker, 7, highwater=7, end=4)
    assert broker.observer.ends[EVENTS].end == 7


async def test_a_leader_lost_before_it_confirms_proves_no_end_and_the_next_is_asked(broker):
    broker.meanwhile = lambda: setattr(broker, "end", None)
    await fetch(broker, 7, highwater=7)
    assert broker.observer.ends == {}
    broker.meanwhile = lambda: None
    await fetch(broker, 7, highwater=7, node_id=1)
    assert broker.observer.ends[EVENTS].end == 7


async def test_ends_that_are_seen_shortly_after_one_another_are_confirmed_together(broker):
    broker.observer._pause_s = 0.01
    await fetch(broker, 7, highwater=7)
    await fetch(broker, 7, highwater=7)
    broker.observer.handed_over(EVENTS, 7)
    await fetch(broker, 8, highwater=8)
    assert len(broker.asked) == 1
    async with asyncio.timeout(5):
        while broker.observer.ends[EVENTS].end == 7:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert len(broker.asked) == 2
    assert broker.observer.ends[EVENTS].after == 7


async def test_what_asks_for_ends_goes_with_its_consumer_and_the_next_asks_again(broker):
    request = FetchRequest(100, 1, 1000, 1, [("events", [(0, 7, 500)])], rack_id="")
    broker.answer = SimpleNamespace(topics=[("events", [(0, 0, 7, 7, [], b"")])], API_VERSION=4)
    await broker.send(0, request)
    await broker.close()
    assert (broker.asked, broker.observer.ends) == ([], {})
    await fetch(broker, 7, highwater=7)
    assert broker.observer.ends[EVENTS].end == 7


async def test_an_end_before_one_that_was_seen_is_believed_after_half_a_minute(broker):
    await fetch(broker, 7, highwater=9)
    await fetch(broker, 7, highwater=7)
    broker.seconds = BELIEVED_AFTER_S - 1
    await fetch(broker, 7, highwater=7)
    assert broker.observer.ends == {}
    broker.seconds = BELIEVED_AFTER_S
    await fetch(broker, 7, highwater=7)
    assert broker.observer.ends[EVENTS].end == 7
    assert broker.observer.highwaters == {EVENTS: 7}


async def test_a_greater_end_in_between_begins_that_half_minute_anew(broker):
    await fetch(broker, 7, highwater=9)
    await fetch(broker, 7, highwater=7)
    broker.seconds = BELIEVED_AFTER_S
    await fetch(broker, 7, highwater=9)
    await fetch(broker, 7, highwater=7)
    assert broker.observer.ends == {}


async def test_an_end_seen_before_the_position_was_set_anew_proves_nothing(broker):
    broker.meanwhile = lambda: broker.observer.forget(EVENTS)
    await fetch(broker, 7, highwater=7)
    assert broker.observer.ends == {}


async def test_an_offset_that_does_not_exist_is_remembered_until_the_position_is_set_anew(broker):
    await fetch(broker, 7, highwater=-1, error=1)
    assert broker.observer.out_of_range == {EVENTS: 7}
    assert broker.observer.ends == {}
    broker.observer.forget(EVENTS)
    assert broker.observer.out_of_range == {}
    broker.meanwhile = lambda: broker.observer.forget(EVENTS)
    await fetch(broker, 7, highwater=-1, error=1)
    assert broker.observer.out_of_range == {}


async def test_the_lease_begins_as_the_heartbeat_is_sent_and_only_if_it_is_accepted(broker):
    broker.seconds = 5.0
    broker.answer = SimpleNamespace(error_code=25)
    await broker.send(0, HeartbeatRequest("group", 1, "member"))
    assert (broker.observer.lease_at, broker.observer.lease_ms) == (0.0, 0)
    broker.answer = SimpleNamespace(error_code=0)
    sent_at = broker.now
    await broker.send(0, HeartbeatRequest("group", 1, "member"))
    assert (broker.observer.lease_at, broker.observer.lease_ms) == (5.0, sent_at)


# -- what the patch relies on inside aiokafka 0.14.0 -----------------------------------------------


def source(thing) -> str:
    return inspect.getsource(thing)


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_drained_records_are_returned_with_no_await_after_the_draining():
    # FetchObserver.handed_over is called after it and must come before the next fetch is sent.
    drained = source(fetcher.Fetcher.fetched_records)
    after = drained[drained.index("res_or_error.getall(max_records)") :]
    assert "await" not in after[: after.index("return drained")]
    assert after.index("return drained") < after.index("await asyncio.wait")


def test_each_fetch_uses_the_clients_send_and_the_consumer_has_these_fields():
    assert "await self._client.send(node_id, request)" in source(
        fetcher.Fetcher._proc_fetch_request
    )
    assert parameters(AIOKafkaClient.send) == ["self", "node_id", "request", "group"]
    started = source(aiokafka.AIOKafkaConsumer.start)
    assert "self._fetch_max_wait_ms" in started
    assert "self._isolation_level" in started


def test_a_fetch_tells_what_it_asks_and_group_requests_are_of_these_types():
    request = FetchRequest(100, 1, 1000, 1, [("t", [(3, 42, 500)])], rack_id="")
    assert request.topics == [("t", [(3, 42, 500)])]
    from aiokafka.consumer import group_coordinator

    assert group_coordinator.HeartbeatRequest is HeartbeatRequest
    assert group_coordinator.SyncGroupRequest is SyncGroupRequest
