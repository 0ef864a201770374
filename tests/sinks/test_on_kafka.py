"""Sinks as processes on Kafka: whatever happens, the partner ends with what the messages say."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.brokers.forked import ForkedWorker
from tests.sinks.connectors import message
from tests.sinks.running import Partner, Running, partner, running
from tests.topologies.running import ended, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def coming_and_going(profiles: int, rounds: int, audience: str = "a") -> list[bytes]:
    """Each profile is added and deleted in turn; odd ones are in at the end of an odd round."""
    return [
        message(number, mpid=mpid, audience=audience,
                action="add" if number % 2 else "delete")
        for number in range(1, rounds + 1)
        for mpid in range(1, profiles + 1)
        if not (number == rounds and mpid % 2 == 0)
    ]  # fmt: skip


def expected(profiles: int) -> set[str]:
    """Who is in after an odd number of rounds: the last add went to odd profiles alone."""
    return {str(mpid) for mpid in range(1, profiles + 1) if mpid % 2}


def in_order(ids: list[tuple[str, str]]) -> bool:
    """Whether each profile's changes came first in the order of their instants."""
    last: dict[tuple[str, str], int] = {}
    met: set[tuple[str, str]] = set()
    for message_id, connection in ids:
        if (message_id, connection) in met:
            continue
        met.add((message_id, connection))
        _, mpid, at, _ = message_id.split(":")
        if last.get((mpid, connection), 0) > int(at):
            return False
        last[mpid, connection] = int(at)
    return True


async def have(there: Partner, count: int, within: float = 60.0) -> None:
    async def enough() -> bool:
        return len(set(there.taken)) >= count

    await eventually(enough, within=within)


async def stopped(worker: ForkedWorker) -> int:
    worker.send_signal(signal.SIGTERM)
    return await ended(worker, within=15)


async def test_a_partner_ends_with_what_the_messages_say(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        partner() as there,
        running(kafka_broker, topic_prefix, tmp_path, there.url) as ran,
    ):
        messages = coming_and_going(50, 5)
        await ran.produce(messages)
        worker = ran.start()
        await have(there, len(messages))
        assert there.members["a"] == expected(50)
        assert Counter(there.taken).most_common(1)[0][1] == 1
        assert in_order(there.taken)
        await eventually(ran.all_committed)
        assert await stopped(worker) == 0
        assert "a-hook-secret" not in ran.log_of(worker)


async def test_killed_in_mid_send_it_sends_again_what_had_no_answer(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        partner() as there,
        running(kafka_broker, topic_prefix, tmp_path, there.url) as ran,
    ):
        messages = coming_and_going(100, 3)
        asked = asyncio.Event()

        async def hang_from_the_fifth(_changes: Any) -> web.Response | None:
            if there.requests >= 5:
                asked.set()
                await asyncio.Event().wait()
            return None

        there.answer = hang_from_the_fifth
        await ran.produce(messages)
        worker = ran.start()
        await asyncio.wait_for(asked.wait(), 60)
        before = list(there.taken)
        worker.kill()
        worker.wait()
        # The sinks' own process notices a moment later.
        await eventually(there.is_left)
        there.answer = None
        ran.start()
        await have(there, len(messages))
        assert there.members["a"] == expected(100)
        assert in_order(there.seen)
        # The answered ones of the last moment may come again, for their commit was on its way.
        again = Counter(there.taken)
        assert sum(count - 1 for count in again.values()) <= len(before)


async def test_a_fault_stops_the_output_and_resumption_goes_on_in_order(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        partner() as there,
        running(kafka_broker, topic_prefix, tmp_path, there.url) as ran,
    ):
        messages = coming_and_going(60, 3)

        async def refuse_from_the_third(_changes: Any) -> web.Response | None:
            return web.Response(status=401, text="no such key") if there.requests > 3 else None

        there.answer = refuse_from_the_third
        await ran.produce(messages)
        worker = ran.start()
        await eventually(lambda: ran.state_is("out", "faulted"))
        record = await ran.fault_record("out")
        assert record is not None
        assert "401 no such key" in record["message"]
        assert record["next_step"] == "cdp outputs resume out"
        listed = (await ran.cdp("outputs", "list", "--json")).splitlines()
        assert len(listed) == 1
        import json

        row = json.loads(listed[0])
        assert row["id"] == "out"
        assert row["connector"] == "webhook"
        assert row["status"] == "faulted"
        assert row["lag"] > 0
        assert row["oldest_unsent_ms"] > 0
        assert "401 no such key" in row["fault"]
        # A worker that starts finds it stopped.
        assert await stopped(worker) == 0
        count = there.requests
        second = ran.start()
        await eventually(lambda: _assigned(ran, second))
        there.answer = None
        await ran.cdp("outputs", "resume", "out")
        await have(there, len(messages))
        assert there.requests > count
        assert there.members["a"] == expected(60)
        assert in_order(there.taken)
        assert max(Counter(there.taken).values()) == 1
        told = [one for one in await ran.read("faults", 1) if one.key == b"out"]
        states = [None if one.value is None else json.loads(one.value)["state"] for one in told]
        assert states == ["faulted", "running", None], "no words of it are kept"


async def _assigned(ran: Running, worker: ForkedWorker) -> bool:
    return '"output_partitions_assigned"' in ran.log_of(worker)


async def test_pause_and_resume_while_nothing_runs_and_while_it_does(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        partner() as there,
        running(kafka_broker, topic_prefix, tmp_path, there.url) as ran,
    ):
        await ran.cdp("outputs", "pause", "out")
        first = coming_and_going(20, 1)
        await ran.produce(first)
        worker = ran.start()
        await eventually(lambda: _assigned(ran, worker))
        await ran.cdp("outputs", "resume", "out")
        await have(there, len(first))
        await eventually(ran.all_committed)
        await ran.cdp("outputs", "pause", "out")
        await eventually(lambda: _logged(ran, worker, "output_stopped"))
        count = there.requests
        second = [message(9, mpid=mpid, action="delete") for mpid in range(1, 20, 2)]
        await ran.produce(second)
        await ran.cdp("outputs", "resume", "out")
        await have(there, len(first) + len(second))
        assert there.requests > count
        assert there.members["a"] == set()
        assert max(Counter(there.taken).values()) == 1


async def _logged(ran: Running, worker: ForkedWorker, fact: str) -> bool:
    return f'"{fact}"' in ran.log_of(worker)


async def test_a_connection_that_is_paused_waits_while_the_others_go_on(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        partner() as there,
        running(kafka_broker, topic_prefix, tmp_path, there.url) as ran,
    ):
        both = [m for pair in zip(coming_and_going(30, 3, "a"), coming_and_going(30, 3, "b"),
                                  strict=True) for m in pair]  # fmt: skip
        await ran.cdp("outputs", "pause", "out", "--connection", "a@out")
        await ran.produce(both)
        worker = ran.start()
        half = len(both) // 2
        await have(there, half)
        await eventually(ran.all_committed)
        assert {connection for _, connection in there.taken} == {"b@out"}
        # Killed, and started anew: what waits is remembered.
        worker.kill()
        worker.wait()
        ran.start()
        more = [message(9, mpid=mpid, audience=audience, action="delete")
                for mpid in range(1, 31, 2) for audience in "ab"]  # fmt: skip
        await ran.produce(more)
        await have(there, half + len(more) // 2)
        await ran.cdp("outputs", "resume", "out", "--connection", "a@out")
        await have(there, len(both) + len(more))
        assert there.members == {"a": set(), "b": set()}
        assert in_order(there.taken)
        assert max(Counter(there.taken).values()) == 1


async def test_two_workers_share_an_output_and_one_takes_over(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        partner() as there,
        running(kafka_broker, topic_prefix, tmp_path, there.url) as ran,
    ):
        first = ran.start()
        messages = coming_and_going(100, 5)
        third = len(messages) // 3
        await ran.produce(messages[:third])
        await have(there, third // 2)
        second = ran.start()
        await ran.produce(messages[third : 2 * third])
        await eventually(lambda: _assigned(ran, second))
        assert await stopped(first) == 0
        await ran.produce(messages[2 * third :])
        await have(there, len(messages), within=120)
        assert there.members["a"] == expected(100)
        assert in_order(there.seen)
        assert max(Counter(there.taken).values()) == 1


async def test_rejected_changes_have_a_topic_of_their_own(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        partner() as there,
        running(kafka_broker, topic_prefix, tmp_path, there.url) as ran,
    ):

        async def refuse_the_seventh(changes: Any) -> web.Response | None:
            bad = any(change["mpid"] == "7" for change in changes)
            return web.Response(status=422, text="nobody is called 7") if bad else None

        there.answer = refuse_the_seventh
        messages = coming_and_going(20, 1)
        await ran.produce([*messages, b'{"mpid": "3", "nothing": 1}'])
        worker = ran.start()
        await have(there, len(messages) - 1)
        await eventually(ran.all_committed)
        rejected = await ran.read("output.out.rejected")
        by_key = {record.key: (dict(record.headers)["reason"], record.value) for record in rejected}
        assert by_key[b"7"] == (b"422 nobody is called 7", message(1, mpid=7))
        assert by_key[b"3"][0].startswith(b"it lacks 'connection'")
        assert len(rejected) == 2
        told = [json.loads(line) for line in ran.log_of(worker).splitlines() if line[:1] == "{"]
        counted = [(t["output"], t["count"]) for t in told if t["fact"] == "changes_rejected"]
        assert counted == [("out", 1), ("out", 1)]
        assert "nobody is called" not in str(told)
        (row,) = map(json.loads, (await ran.cdp("outputs", "list", "--json")).splitlines())
        assert (row["status"], row["rejected"]) == ("running", 2)
        there.answer = None
        words = ("rejected", "resend", "--output", "out", "--all", "--json")
        assert json.loads(await ran.cdp(*words)) == {
            "sent": 1, "left_out": {"it would be rejected again: it is not a change": 1},
        }  # fmt: skip
        await have(there, len(messages))


async def test_an_audience_is_deleted_after_all_its_changes(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        partner() as there,
        running(kafka_broker, topic_prefix, tmp_path, there.url) as ran,
    ):
        messages = coming_and_going(40, 1)
        await ran.produce(messages)
        await ran.produce([message(50, mpid=0, action="audience_delete")])
        ran.start()
        ran.start()
        await have(there, len(messages) + 1)
        assert there.members["a"] == set()
        assert [i for i, _ in there.taken].index("a:0:50:0") == len(there.taken) - 1
        await eventually(ran.all_committed)
        assert there.taken.count(("a:0:50:0", "a@out")) == 1


async def test_what_comes_after_a_deletion_does_not_overtake_it(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        partner() as there,
        running(kafka_broker, topic_prefix, tmp_path, there.url) as ran,
    ):
        may_delete = asyncio.Event()

        async def take_its_time(changes: Any) -> web.Response | None:
            if any(change["action"] == "audience_delete" for change in changes):
                await may_delete.wait()
            return None

        there.answer = take_its_time
        # As where definitions are files, each partition tells it at a time of its own.
        gone = [message(50 + number, mpid=0, action="audience_delete") for number in range(4)]
        again = [message(60, mpid=mpid) for mpid in range(1, 21)]
        others = [message(1, mpid=mpid, audience="b") for mpid in range(1, 41)]
        await ran.produce(message(1, mpid=mpid) for mpid in range(1, 41))
        await ran.produce_to(enumerate(gone))
        await ran.produce([*again, *others])
        workers = [ran.start(), ran.start()]
        await have(there, 80)
        await eventually(lambda: _seen(there, ("a:0:50:0", "a@out")))
        # What the held connection leaves undone is counted, and is still there after a crash.
        await eventually(lambda: _lag_is(ran, 20 + len(gone)))
        workers[0].kill()
        third = ran.start()
        await eventually(lambda: _assigned(ran, third))
        assert not any(i.split(":")[2] == "60" for i, _ in there.seen)
        may_delete.set()
        await have(there, 80 + 1 + 20)
        assert there.members["a"] == {str(mpid) for mpid in range(1, 21)}
        await eventually(ran.all_committed)
        # And once more, as partitions have forgotten nothing of the first time.
        await ran.produce([message(70, mpid=0, action="audience_delete"), message(80, mpid=9)])
        await have(there, 80 + 1 + 20 + 2)
        assert there.members["a"] == {"9"}


async def _seen(there: Partner, one: tuple[str, str]) -> bool:
    return one in there.seen


async def _lag_is(ran: Running, lag: int) -> bool:
    (row,) = map(json.loads, (await ran.cdp("outputs", "list", "--json")).splitlines())
    return bool(row["lag"] == lag)
