"""A broker that is silent for longer than the session time-out is told once, and its return."""

import asyncio
from types import SimpleNamespace

import pytest

from cdp_stream.kafka.runtime.broker_contact import BrokerContact


def app(*, ready=True, holds_lease=True):
    return SimpleNamespace(assignment=SimpleNamespace(ready=ready), holds_lease=holds_lease)


@pytest.fixture
def told(caplog):
    caplog.set_level("INFO", "cdp")
    return lambda: [(record.msg, record.facts.get("seconds")) for record in caplog.records]


def test_it_is_told_once_that_it_is_lost_and_once_that_it_is_back(told):
    now, apps = [100.0], [app(), app()]
    contact = BrokerContact(lambda: apps, now=lambda: now[0])
    contact.look()
    assert (contact.is_lost, told()) == (False, [])
    apps[1].holds_lease = False
    for _ in range(3):
        contact.look()
        now[0] += 10
    assert (contact.is_lost, told()) == (True, [("broker_lost", None)])
    # On its return the group gives out partitions anew, which takes a moment.
    apps[1].assignment.ready = False
    contact.look()
    assert contact.is_lost
    apps[1].holds_lease = True
    for _ in range(3):
        contact.look()
    assert (contact.is_lost, told()[1:]) == (False, [("broker_recovered", 30.0)])


def test_who_waits_for_the_group_has_not_lost_it(told):
    contact = BrokerContact(lambda: [app(ready=False, holds_lease=False)])
    contact.look()
    assert (contact.is_lost, told()) == (False, [])


def test_the_sinks_of_a_worker_leave_the_telling_to_it(told):
    contact = BrokerContact(lambda: [app(holds_lease=False)], logs=False)
    contact.look()
    assert (contact.is_lost, told()) == (True, [])


async def test_a_process_that_was_stopped_has_not_lost_its_broker(told, monkeypatch):
    now, apps = [0.0], [app(holds_lease=False)]
    contact = BrokerContact(lambda: apps, now=lambda: now[0])
    looks = []

    async def sleep(_seconds):
        looks.append(contact.is_lost)
        if len(looks) == 3:
            raise asyncio.CancelledError
        now[0] += 60 if len(looks) == 1 else 1

    monkeypatch.setattr("cdp_stream.kafka.runtime.broker_contact.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await contact.watch()
    assert looks == [False, False, True]
    assert told() == [("broker_lost", None)]
