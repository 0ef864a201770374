"""What a broker's answers prove: when a partition was at its end, and that an offset is gone."""

from types import SimpleNamespace

import pytest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest

from cdp_stream.kafka.clock import EndSeen
from cdp_stream.kafka.observation import Observation

EVENTS = ("events", 0)


class Broker:
    """Stands where aiokafka's client stands: answers a fetch an hour after it was sent."""

    def __init__(self):
        self.now = 1_000
        self.observation = Observation(now_ms=lambda: self.now)
        self.answer = None
        self.meanwhile = lambda: None
        self.observation.attach(SimpleNamespace(_client=self))

    async def send(self, _node_id, _request, **_options):
        self.now += 3_600_000
        self.meanwhile()
        return self.answer


@pytest.fixture
def broker():
    return Broker()


async def fetch(broker, offset, *, highwater, error=0):
    broker.answer = SimpleNamespace(
        topics=[("events", [(0, error, highwater, highwater, [], b"")])], API_VERSION=4
    )
    request = FetchRequest(100, 1, 1000, 1, [("events", [(0, offset, 500)])], rack_id="")
    await broker.send(0, request)


async def test_an_end_was_seen_as_of_when_the_fetch_was_sent_not_when_it_was_answered(broker):
    broker.observation.handed_over(EVENTS, 6)
    await fetch(broker, 7, highwater=7)
    assert broker.observation.ends == {EVENTS: EndSeen(asked_at=1_000, after=6, end=7)}


async def test_records_handed_over_while_the_fetch_was_under_way_do_not_count(
    broker,
):
    broker.observation.handed_over(EVENTS, 6)
    broker.meanwhile = lambda: broker.observation.handed_over(EVENTS, 9)
    await fetch(broker, 7, highwater=7)
    assert broker.observation.ends[EVENTS].after == 6


async def test_while_something_lies_beyond_the_end_is_not_seen(broker):
    await fetch(broker, 7, highwater=8)
    assert broker.observation.ends == {}
    assert broker.observation.highwaters == {EVENTS: 8}
    assert broker.observation.answered_at.keys() == {EVENTS}


async def test_an_offset_that_does_not_exist_is_remembered_until_the_position_is_set_anew(broker):
    await fetch(broker, 7, highwater=-1, error=1)
    assert broker.observation.out_of_range == {EVENTS: 7}
    assert broker.observation.ends == {}
    broker.observation.forget(EVENTS)
    assert broker.observation.out_of_range == {}


async def test_the_lease_begins_as_the_heartbeat_is_sent_and_only_if_it_is_accepted(broker):
    broker.answer = SimpleNamespace(error_code=25)
    await broker.send(0, HeartbeatRequest("group", 1, "member"))
    assert broker.observation.lease_at == 0.0
    broker.answer = SimpleNamespace(error_code=0)
    await broker.send(0, HeartbeatRequest("group", 1, "member"))
    assert broker.observation.lease_at > 0.0
