"""Following the topic of applied definitions: what is taken over, and what is passed over."""

import asyncio
import threading

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from cdp_stream.definitions import load_texts
from cdp_stream.formats.definitions_record import DefinitionFile, decode_record, encode_record
from cdp_stream.kafka.definitions import source as definitions_source
from cdp_stream.kafka.definitions.source import AppliedDefinitions
from cdp_stream.kafka.definitions.topic import Applied, publish
from cdp_stream.kafka.topics.ensure import ensure_definitions_topic
from cdp_stream.settings import Settings
from tests.topologies.running import eventually

pytestmark = pytest.mark.embedded

FILE = """\
version: 1
account: acme
workspaces: [{id: w, inputs: [{id: web, kind: platform}]}]
audiences:
  - {id: NAME, criteria: {event: Visit}}
"""


OUTPUT = """\
outputs: [{id: log, connector: log}]
connections: [{audience: NAME, output: log}]
"""


def files(name: str, more: str = "") -> list[DefinitionFile]:
    return [DefinitionFile("a.yaml", (FILE + more).replace("NAME", name))]


@pytest.fixture
async def settings(embedded_broker, topic_prefix):
    found = Settings(broker=embedded_broker, prefix=topic_prefix)
    await ensure_definitions_topic(found)
    return found


class Changes:
    """Counts the versions that were taken over, and waits for them."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def __call__(self) -> None:
        self.event.set()

    async def next(self) -> None:
        async with asyncio.timeout(60):
            await self.event.wait()
        self.event.clear()


async def send(settings: Settings, *records: tuple[bytes | None, bytes | None]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.brokers)
    await producer.start()
    for key, value in records:
        await producer.send_and_wait(settings.topic("definitions"), value, key=key, partition=0)
    await producer.stop()


def names(source: AppliedDefinitions) -> list[str]:
    return [audience.id for audience in source.latest.account.audiences]


async def test_it_waits_for_the_first_version_and_takes_over_each_later_one(settings):
    source, changes = AppliedDefinitions(settings), Changes()
    starting = asyncio.create_task(source.start(changes))
    await publish(settings, "acme", files("a"), after=0)
    async with asyncio.timeout(60):
        await starting
    assert (names(source), source.latest.version) == (["a"], "1")
    changes.event.clear()
    await publish(settings, "acme", files("b"), after=1)
    await changes.next()
    assert (names(source), source.latest.version) == (["b"], "2")
    earlier = source.known("1")
    assert earlier is not None
    assert [audience.id for audience in earlier.account.audiences] == ["a"]
    assert source.known("3") is None
    assert source.is_newer("3")
    assert not source.is_newer("2")
    assert not source.is_newer("files-99")
    changes.event.clear()
    await publish(settings, "acme", files("c"), after=2)
    await changes.next()
    assert [[one.id for one in account.audiences] for account in source.between("1", "3")] == [
        ["b"]
    ]
    assert source.between("2", "3") == source.between(None, "3") == []
    await source.stop()


async def test_what_cannot_be_used_is_passed_over_and_counted(settings, capsys):
    await publish(settings, "acme", files("a"), after=0)
    source, changes = AppliedDefinitions(settings), Changes()
    await source.start(changes)
    unknown = [DefinitionFile("a.yaml", "version: 2\naccount: acme\n")]
    await send(
        settings,
        (b"acme", b"{"),
        (b"acme", None),
        (b"acme", encode_record(1, files("older"))),
        (b"acme", encode_record(2, unknown)),
        (b"other", encode_record(3, files("of-another-account"))),
        (b"acme", encode_record(4, files("b"))),
    )
    while source.latest.version != "4":
        await changes.next()
    assert names(source) == ["b"]
    assert source.known("2") is None
    assert source.known("3") is None
    assert not source.is_newer("4")
    await send(settings, (b"acme", encode_record(5, unknown)))

    async def has_read() -> bool:
        return source.has_read("5")

    await eventually(has_read)
    # A partition that a newer release put under the fifth does not go back to the fourth.
    assert source.is_newer("5")
    assert (source.latest.version, source.has_read("6")) == ("4", False)
    await source.stop()
    again = AppliedDefinitions(settings)
    await again.start(Changes())
    assert names(again) == ["b"]
    await again.stop()


async def test_a_version_that_skips_some_is_refused_unless_compaction_took_them_away(
    settings, monkeypatch
):
    await publish(settings, "acme", files("a"), after=0)
    source, changes = AppliedDefinitions(settings), Changes()
    await source.start(changes)
    await send(settings, (b"acme", encode_record(9, files("skipped"))))
    assert await publish(settings, "acme", files("b"), after=1) == 2
    while source.latest.version != "2":
        await changes.next()
    assert names(source) == ["b"]
    # The embedded broker compacts nothing: what it would leave is told here.
    read_all = definitions_source.read_applied

    async def read_what_is_left(client, topic):
        return [one for one in await read_all(client, topic) if one.record.version > 4]

    at_3, at_4, at_5 = (encode_record(n, files(name)) for n, name in ((3, "c"), (4, "d"), (5, "e")))
    monkeypatch.setattr(definitions_source, "read_applied", read_what_is_left)
    monkeypatch.setattr(source, "_newest", 1)  # it has not heard of anything since
    await send(settings, (b"acme", at_3), (b"acme", at_4), (b"acme", at_5))
    while source.latest.version != "5":
        await changes.next()
    assert names(source) == ["e"]
    await source.stop()


async def test_a_worker_that_starts_with_a_version_it_cannot_use_takes_the_one_before(settings):
    await publish(settings, "acme", files("a"), after=0)
    await send(settings, (b"acme", encode_record(2, [DefinitionFile("a", "nothing: known")])))
    source = AppliedDefinitions(settings)
    await source.start(Changes())
    assert (names(source), source.invalid) == (["a"], 1)
    await source.stop()


async def test_a_version_whose_outputs_get_no_topics_holds_up_no_later_one(settings, caplog):
    await publish(settings, "acme", files("a"), after=0)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await admin.start()
    await admin.create_topics([NewTopic(settings.topic("output.log"), settings.partitions + 1, 1)])
    await admin.close()
    source, changes = AppliedDefinitions(settings), Changes()
    await source.start(changes)
    changes.event.clear()
    await publish(settings, "acme", files("b", OUTPUT), after=1)

    async def is_held_up() -> bool:
        return "outputs_without_topics" in caplog.messages

    await eventually(is_held_up)
    assert (source.latest.version, source.has_read("2")) == ("1", True)
    await publish(settings, "acme", files("c"), after=2)
    await changes.next()
    assert (names(source), source.latest.version) == (["c"], "3")
    await source.stop()
    # A worker that starts with it goes on as soon as there is another.
    await publish(settings, "acme", files("d", OUTPUT), after=3)
    caplog.clear()
    again = AppliedDefinitions(settings)
    starting = asyncio.create_task(again.start(Changes()))
    await eventually(is_held_up)
    await publish(settings, "acme", files("e"), after=4)
    async with asyncio.timeout(60):
        await starting
    assert names(again) == ["e"]
    await again.stop()


async def test_a_version_that_is_compiled_while_it_is_let_go_is_not_kept(monkeypatch):
    begun, may_end = threading.Event(), threading.Event()

    def load_slowly(texts):
        texts = list(texts)
        if "id: v1," in texts[0][1]:
            begun.set()
            assert may_end.wait(20)
        return load_texts(texts)

    def applied(number: int) -> Applied:
        return Applied("acme", decode_record(encode_record(number, files(f"v{number}"))), 0, number)

    monkeypatch.setattr(definitions_source, "load_texts", load_slowly)
    source = AppliedDefinitions(Settings(broker="b:9"))
    await source._take([applied(1), applied(2)])
    earlier = asyncio.create_task(asyncio.to_thread(source.known, "1"))
    await asyncio.to_thread(begun.wait, 20)
    await source._take([applied(number) for number in range(3, 30)])
    may_end.set()
    assert await earlier is not None
    assert source.known("1") is not None
    await source._take([applied(30)])
    assert source.known("1") is None
    assert source._compiled.keys() <= source._applied.keys()
    await source.stop()
