"""What sinks share in a topic, and what happens when it cannot be read for a while."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.protocol.fetch import FetchRequest

from cdp_stream.sinks.state.faults import faulted, paused
from cdp_stream.sinks.state.followed_topic import FollowedTopic
from cdp_stream.sinks.state.records import Check, fault_problem, state_problem
from tests.sinks.without_kafka import Producer, state_topics, until

TOPIC = TopicPartition("faults", 0)


class Log:
    """The topic, as a broker has it.

    Attributes:
        records: offset -> key and value, as bytes or as what becomes them.
        troubles: what the next reads raise, one each.
        consumers: how many were made, and of these how many have stopped.
        asked: set by each read.
    """

    def __init__(self) -> None:
        self.records: list[tuple[Any, Any]] = []
        self.troubles: list[BaseException] = []
        self.consumers = [0, 0]
        self.asked = asyncio.Event()

    def topic(self, check: Check = lambda _key, _value: None) -> FollowedTopic:
        return FollowedTopic(
            {}, "faults", Producer(), check=check, consume=lambda **_: Reading(self), pause_s=0.0  # type: ignore[arg-type, return-value]
        )  # fmt: skip


def _bytes(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


class Reading:
    """A consumer of it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._at = 0
        self._client = self
        log.consumers[0] += 1

    async def send(self, _node: int, _request: Any) -> Any:
        return SimpleNamespace(topics=[("faults", [(0, 0, len(self._log.records))])])

    async def close(self) -> None:
        await asyncio.sleep(0)

    async def start(self) -> None:
        await asyncio.sleep(0)

    def assign(self, partitions: list[TopicPartition]) -> None:
        assert partitions == [TOPIC]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._at = offset

    async def getmany(self, *, timeout_ms: int) -> Any:
        await asyncio.sleep(0)
        self._log.asked.set()
        if self._log.troubles:
            raise self._log.troubles.pop(0)
        await self._client.send(0, FetchRequest(1, 1, 1, 1, [("faults", [(0, self._at, 1)])]))
        new = self._log.records[self._at :]
        records = [
            SimpleNamespace(offset=self._at + n, key=_bytes(key), value=_bytes(value))
            for n, (key, value) in enumerate(new)
        ]
        self._at += len(new)
        return {TOPIC: records} if records else {}

    async def stop(self) -> None:
        self._log.consumers[1] += 1


async def test_it_is_followed_on_after_it_could_not_be_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "cdp")
    log = Log()
    log.records = [("a", {"n": 1})]
    topic = log.topic()
    await topic.start()
    assert topic.values == {"a": {"n": 1}}
    log.troubles = [TopicAuthorizationFailedError("faults"), KafkaError(), OSError()]
    log.records.append(("b", {"n": 2}))
    async with asyncio.timeout(5):
        await topic.caught_up()
    await until(lambda: topic.values == {"a": {"n": 1}, "b": {"n": 2}})
    await until(lambda: [r.msg for r in caplog.records].count("topic_followed") == 1)
    assert [r.msg for r in caplog.records].count("topic_not_followed") == 1
    await topic.stop()
    assert log.consumers == [4, 4]


async def test_a_topic_that_cannot_be_read_at_the_start_is_an_error() -> None:
    log = Log()
    log.troubles = [TopicAuthorizationFailedError("faults")]
    topic = log.topic()
    async with asyncio.timeout(5):
        with pytest.raises(TopicAuthorizationFailedError):
            await topic.start()
    await topic.stop()
    assert log.consumers == [1, 1]


async def test_what_ends_it_ends_those_who_wait_for_it_too() -> None:
    log = Log()
    topic = log.topic()
    await topic.start()
    told: list[BaseException] = []
    topic.watch(told.append)
    waiting = asyncio.create_task(topic.caught_up())
    log.troubles = [ZeroDivisionError()]
    async with asyncio.timeout(5):
        await asyncio.gather(waiting, return_exceptions=True)
        with pytest.raises(ZeroDivisionError):
            await topic.caught_up()
    assert [type(error) for error in told] == [ZeroDivisionError]
    await topic.stop()


async def test_no_watcher_is_called_when_it_is_stopped() -> None:
    topic = Log().topic()
    await topic.start()
    told: list[BaseException] = []
    topic.watch(told.append)
    await topic.stop()
    assert told == []


async def read(log: Log, check: Check) -> dict[str, Any]:
    topic = log.topic(check)
    await topic.start()
    await topic.stop()
    return topic.values


GOOD_FAULT = faulted("mail", "vip@mail", "no", 1_700_000_000_000)
COURSE = {"offset": 3, "seen": 9, "owed": 2, "since": 5, "confirmed": [[4, 5]]}
GOOD_MEMORY = {
    "position:mail:0": {
        "connections": {"vip@mail": COURSE},
        "confirmed": [[7, 7]],
    },
    "output:mail": {"connector": "mailchimp", "removed": True},
    "list:vip@mail": {"list_id": "7"},
    "settings:vip@mail": {"settings": ["a1"]},
    "refused:vip@mail": {"settings": ["a1"]},
    "audience-delete:vip@mail:1": {"deletion": "x", "overdue": True},
    "audience-deleted:vip@mail": {"deletions": {"0": "x"}},
}  # fmt: skip
NO_RECORDS = [
    (None, GOOD_FAULT),
    (b"\xff\xfe", GOOD_FAULT),
    ("vip@mail", b"\x00\xff"),
    ("vip@mail", b"[" * 100_000),
    ("vip@mail", b'{"a":' * 100_000),
    ("vip@mail", [1]),
    ("vip@mail", 7),
    ("vip@mail", b'{"x": "' + b"y" * (1 << 20) + b'"}'),
]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *NO_RECORDS,
        ("vip@mail", {}),
        ("vip@mail", {**GOOD_FAULT, "state": "jane@example.com"}),
        ("vip@mail", {**GOOD_FAULT, "state": ["paused"]}),
        ("vip@mail", {**GOOD_FAULT, "since": 10**17}),
        ("vip@mail", {**GOOD_FAULT, "since": None}),
        ("vip@mail", {**GOOD_FAULT, "output": {}}),
        ("vip@mail", {**GOOD_FAULT, "id": "mail"}),
        ("mail", GOOD_FAULT),
        ("vip@mail", {**GOOD_FAULT, "connection": "new@mail"}),
        ("vip@mail", {**GOOD_FAULT, "message": "y" * (1 << 20)}),
    ],
)
async def test_what_is_no_fault_is_passed_over_and_what_was_before_holds(
    caplog: pytest.LogCaptureFixture, key: Any, value: Any
) -> None:
    log = Log()
    log.records = [("vip@mail", GOOD_FAULT), (key, value), ("more", paused("more", None, 1))]
    assert await read(log, fault_problem) == {
        "vip@mail": GOOD_FAULT, "more": paused("more", None, 1),
    }  # fmt: skip
    (told,) = [record for record in caplog.records if record.msg == "state_record_invalid"]
    assert told.facts["offset"] == 1  # type: ignore[attr-defined]
    assert "jane" not in str(told.facts)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *NO_RECORDS,
        ("unknown:mail", {}),
        ("position:mail:0", {"connections": {"vip@mail": {}}}),
        ("position:mail:0", {"connections": {"vip@mail": {"offset": "7"}}}),
        ("position:mail:0", {"connections": {"vip@mail": {"offset": -1}}}),
        ("position:mail:0", {"confirmed": [[0, 10**15]]}),
        ("position:mail:0", {"confirmed": [7]}),
        ("output:mail", {"connector": 7}),
        ("list:vip@mail", {}),
        ("wanted-list:mail:vip@mail", {"connection": "vip@mail"}),
        ("refused:vip@mail", {"settings": "a1"}),
        ("audience-delete:vip@mail:1", {"overdue": True}),
        ("audience-deleted:vip@mail", {"deletions": ["x"]}),
    ],
)
async def test_what_is_no_memory_is_passed_over_and_what_was_before_holds(
    caplog: pytest.LogCaptureFixture, key: Any, value: Any
) -> None:
    log = Log()
    log.records = [*GOOD_MEMORY.items(), (key, value)]
    assert await read(log, state_problem) == GOOD_MEMORY
    assert [record.msg for record in caplog.records].count("state_record_invalid") == 1


async def test_a_member_that_a_later_release_wrote_is_left_alone() -> None:
    log = Log()
    later = {**GOOD_FAULT, "severity": 3}
    log.records = [("vip@mail", later)]
    assert await read(log, fault_problem) == {"vip@mail": later}


async def test_of_many_bad_records_the_first_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    log.records = [("mail", b"no")] * 1_000 + [("more", paused("more", None, 1))]
    assert list(await read(log, fault_problem)) == ["more"]
    assert [record.msg for record in caplog.records].count("state_record_invalid") == 20


async def test_every_key_that_memory_writes_is_of_a_kind_that_is_read() -> None:
    producer = Producer()
    _, known = state_topics(producer)
    nobody = {"message_id": "", "action": "add", "audience_id": "a", "audience_name": "A"}
    await known.keep("mail", 0, {"connections": {"a@mail": {"offset": 1, "seen": 2}}})
    await known.note_connector("mail", "mailchimp")
    await known.note_list("a@mail", "7")
    await known.want_list("mail", "a@mail", {**nobody, "connection": "a@mail", "settings": {}})
    await known.note_settings("a@mail", "d1")
    await known.note_refused("a@mail", ["d1"])
    await known.note_marked("a@mail", 0, "x", "overdue")
    await known.note_deleted("a@mail", {0: "x"})
    await known.note_connections("mail", ["a@mail"])
    await known.note_sent_again("cdp.rejected", 0, [(3, 5)])
    assert len(producer.written) == 10
    for _, key, value in producer.written:
        assert state_problem(key, value) is None
    writers = {name for name in dir(known) if name.startswith(("note_", "keep", "want_"))}
    assert len(writers) == 11  # one that is added here belongs into this test
