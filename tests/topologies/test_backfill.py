"""New and edited audiences on a live system: their history is read beside live traffic, whatever is
killed and whoever joins; nothing is said before it is in, and then exactly the differences.
"""

import json
import signal
from collections import defaultdict
from pathlib import Path
from random import Random

import httpx
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from cdp_stream.core.planning import build_plan
from cdp_stream.definitions import load_files
from cdp_stream.formats.backfill_rows import BACKFILL_KEY, decode_backfill
from cdp_stream.formats.rows import PARTITION_KEY, decode_partition
from cdp_stream.kafka.clients.probe import free_port
from cdp_stream.offline.replay import Replay
from cdp_stream.settings import Settings
from tests.topologies.running import PARTITIONS, ended, eventually, running
from tests.topologies.test_changing_definitions import Following
from tests.topologies.test_worker_equals_replay import (
    EVERYTHING,
    CdpRunning,
    final_state,
    generated,
)
from tests.topologies.test_worker_equals_replay import replayed as changes_of_a_replay

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

T = 1_700_000_000_000
SECOND = 1_000
HEAD = (
    "version: 1\naccount: a\n"
    "workspaces: [{id: w, lookback: 3d, inputs: [{id: web, kind: platform}]}]\naudiences:\n"
)
ACTIVE = "  - {id: active, criteria: {event: Visit, when: {last: 30m}}}\n"
KEEN = "  - {id: keen, criteria: {event: Visit, count: {at_least: 5}, when: {last: 8h}}}\n"
EDITED = "  - {id: keen, criteria: {event: Visit, count: {at_most: 4}, when: {last: 5h}}}\n"
BUYER = "  - {id: buyer, criteria: {event: Buy, count: {at_least: 2}, when: {last: 12h}}}\n"
LAPSED = (
    "  - {id: lapsed, criteria: {all: [{audience: buyer}, "
    "{event: Visit, count: {less_than: 1}, when: {last: 2h}}]}}\n"
)


class Backfilled(Following):
    """A worker that can be asked how far it is."""

    ports: dict[int, int]

    def start(self, definitions: Path | None):
        """With a file, or (None) following what is applied."""
        port = free_port()
        variables = {"CDP_METRICS_PORT": str(port), "CDP_MEMORY": "4"}
        if definitions is None:
            worker = self.follow(**variables)
        else:
            worker = self.start_cdp(definitions, **variables)
        self.ports = {**getattr(self, "ports", {}), worker.pid: port}
        return worker

    async def asked(self, worker, path: str) -> httpx.Response | None:
        assert worker.poll() is None, self.log_of(worker)
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return await client.get(f"http://127.0.0.1:{self.ports[worker.pid]}{path}")
            except httpx.TransportError:
                return None

    async def backfills(self, worker) -> dict[str, dict]:
        answer = await self.asked(worker, "/backfill")
        found = {} if answer is None else answer.json()
        return {one["audience"]: one for one in found.get("audiences", ())}

    async def half_read(self) -> dict[int, int]:
        """How far the reading has been kept, in partitions where it is neither at its beginning nor
        near its end.
        """
        found = {}
        for number, rows in (await self.own_rows()).items():
            if BACKFILL_KEY not in rows:
                continue
            state, end = decode_backfill(rows[BACKFILL_KEY]), decode_partition(rows[PARTITION_KEY])
            if not state.epoch and state.start < state.position < 0.9 * end.position:
                found[number] = state.position
        return found

    async def is_through(self, *workers) -> bool:
        """Whether they hold all partitions, and nothing of any is left to be done."""
        held = 0.0
        for worker in workers:
            answer = await self.asked(worker, "/metrics")
            if answer is None:
                return False
            for line in answer.text.splitlines():
                name, _, value = line.rpartition(" ")
                if name == "cdp_partitions_held":
                    held += float(value)
                waits = name.startswith(
                    ("cdp_definitions_histories_waiting{", "cdp_definitions_rows_waiting{")
                )
                if waits and float(value):
                    return False
        return held == self.partitions


@pytest.fixture
def ran(kafka_broker, topic_prefix, tmp_path):
    settings = Settings(broker=kafka_broker, prefix=topic_prefix, clock="stream")
    with running(settings, tmp_path, kind=Backfilled) as r:
        yield r


def defined(directory: Path, name: str, *audiences: str) -> Path:
    path = directory / f"{name}.yaml"
    path.write_text(HEAD + "".join(audiences))
    return path


def lines(count: int, first: int = 0, profiles: int = 2_000) -> list[bytes]:
    """Visits and purchases, a second after each other; one in 50 comes twice. Some profiles come
    often, others hardly ever.
    """
    made = []
    for number in range(first, first + count):
        mpid = int(profiles * Random(number).random() ** 2)
        name = "Buy" if number % 7 == 3 else "Visit"
        data = {"event_name": name, "source_message_id": f"m{number}"}
        line = json.dumps(
            {
                "mpid": mpid,
                "timestamp_unixtime_ms": T + number * SECOND,
                "events": [{"event_type": "custom_event", "data": data}],
            }
        ).encode()
        made += [line, line] if number % 50 == 0 else [line]
    return made


def replayed(definitions: Path, read: list[bytes], until: int) -> dict[str, set[int]]:
    """Members by audience, of those that have any."""
    account = load_files([str(definitions)]).account
    assert account is not None
    replay = Replay(build_plan(account), until=until)
    for line in read:
        replay.feed(line, [])
    replay.finish(lambda _changes: None)
    members = defaultdict(set)
    for mpid, row in replay.rows.items():
        for audience in row.members:
            members[audience].add(mpid)
    return dict(members)


async def told(ran: CdpRunning) -> dict[str, set[int]]:
    """Members by audience, as the membership state has them."""
    members = defaultdict(set)
    for key in await ran.published_state():
        audience, _, mpid = key.rpartition(":")
        members[audience].add(int(mpid))
    return dict(members)


async def changes(ran: CdpRunning) -> dict[str, list[dict]]:
    """The changes of each audience, those of a profile in the order in which they were said."""
    found = defaultdict(list)
    for records in (await ran.read("memberships")).values():
        for record in records:
            change = json.loads(record.value)
            found[change["audience_id"]].append(change)
    ids = [one["message_id"] for said in found.values() for one in said]
    assert len(set(ids)) == len(ids)
    return found


async def stopped(worker) -> None:
    worker.send_signal(signal.SIGTERM)
    assert await ended(worker) == 0


@pytest.mark.timeout(900)
async def test_a_new_audience_joins_when_its_history_is_in_whatever_is_killed(ran, tmp_path):
    before = defined(tmp_path, "before", ACTIVE, KEEN)
    after = defined(tmp_path, "after", ACTIVE, KEEN, BUYER, LAPSED)
    sent = lines(60_000)
    await ran.create_topics()
    total = await ran.publish(sent)
    worker = ran.start(before)
    await eventually(lambda: ran.caught_up(total), within=180)
    await stopped(worker)

    worker = ran.start(after)
    first = lines(500, first=60_000)
    total += await ran.publish(first)
    sent += first

    saved = await ran.killed_when(worker, ran.half_read)
    assert not {"buyer", "lapsed"} & set(await changes(ran))

    worker, other = ran.start(after), ran.start(after)
    more = lines(500, first=60_500)
    total += await ran.publish(more)
    sent += more
    await eventually(lambda: ran.is_through(worker, other), within=180)
    # Reading went on behind what was kept, and began anew nowhere.
    went_on = [line for one in (worker, other) for line in ran.facts(one, "backfill_goes_on")]
    for number, position in saved.items():
        positions = [line["position"] for line in went_on if line["partition"] == number]
        assert min(positions) == position
    began = [line for one in (worker, other) for line in ran.facts(one, "backfill_begins")]
    assert not saved.keys() & {line["partition"] for line in began}
    last = lines(2_000, first=61_000)
    until = T + 64_000 * SECOND
    total += await ran.publish(last, until)
    sent += last
    await eventually(lambda: ran.caught_up(total), within=120)

    expected = replayed(after, sent, until)
    assert min(map(len, (expected[name] for name in ("keen", "buyer", "lapsed")))) > 50
    assert await told(ran) == expected
    said = await changes(ran)
    for audience in ("buyer", "lapsed"):
        by_definition = [one for one in said[audience] if one["cause"]["kind"] == "definition"]
        assert {one["action"] for one in by_definition} == {"add"}
        earliest = min(one["effective_at"] for one in said[audience])
        assert earliest >= T + 59_000 * SECOND
        in_order(said[audience])


def in_order(said: list[dict]) -> None:
    """Each profile joins, leaves, joins."""
    by_mpid = defaultdict(list)
    for one in said:
        by_mpid[one["mpid"]].append(one["action"])
    for actions in by_mpid.values():
        assert actions == ["add", "delete"] * (len(actions) // 2) + ["add"] * (len(actions) % 2)


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
async def test_an_edit_emits_exactly_the_differences(ran, tmp_path, guarantee):
    ran.settings = Settings(
        broker=ran.settings.broker, prefix=ran.settings.prefix, clock="stream", guarantee=guarantee
    )
    before = defined(tmp_path, "before", ACTIVE, KEEN)
    after = defined(tmp_path, "after", ACTIVE, EDITED)
    sent, until = lines(8_000), T + 9_000 * SECOND
    await ran.create_topics()
    total = await ran.publish(sent, until)
    worker = ran.start(before)
    await eventually(lambda: ran.caught_up(total), within=120)
    await stopped(worker)
    already = {one["message_id"] for one in (await changes(ran))["keen"]}
    old, new = replayed(before, sent, until), replayed(after, sent, until)
    assert old["keen"] - new["keen"]
    assert new["keen"] - old["keen"]

    worker = ran.start(after)
    await eventually(lambda: ran.is_through(worker), within=120)
    await stopped(worker)
    said = await changes(ran)
    fresh = [one for one in said["keen"] if one["message_id"] not in already]
    assert {int(one["mpid"]) for one in fresh if one["action"] == "delete"} == (
        old["keen"] - new["keen"]
    )
    assert {int(one["mpid"]) for one in fresh if one["action"] == "add"} == (
        new["keen"] - old["keen"]
    )
    assert {one["cause"]["kind"] for one in fresh} == {"definition"}
    assert {one["effective_at"] for one in fresh} == {until}
    assert await told(ran) == new


async def test_it_says_when_the_log_is_shorter_than_the_lookback(ran, tmp_path):
    before = defined(tmp_path, "before", ACTIVE)
    after = defined(tmp_path, "after", ACTIVE, BUYER)
    sent, until = lines(8_000), T + 9_000 * SECOND
    await ran.create_topics()
    total = await ran.publish(sent, until)
    worker = ran.start(before)
    await eventually(lambda: ran.caught_up(total), within=120)
    await stopped(worker)
    records = await ran.read("events")
    admin = AIOKafkaAdminClient(bootstrap_servers=ran.settings.brokers)
    await admin.start()
    topic = ran.settings.topic("events")
    try:
        await admin.delete_records(
            {TopicPartition(topic, number): RecordsToDelete(1_000) for number in records}
        )
    finally:
        await admin.close()

    worker = ran.start(after)
    await eventually(lambda: ran.is_through(worker), within=120)
    await stopped(worker)
    facts = ran.log_of(worker)
    assert facts.count("backfill_log_is_shorter") == PARTITIONS
    left = [
        record.value
        for number, found in records.items()
        for record in found
        if record.offset >= 1_000 and record.value
    ]
    expected = replayed(after, left, until)["buyer"]
    assert expected != replayed(after, sent, until)["buyer"]
    assert (await told(ran))["buyer"] == expected


async def test_every_criterion_applied_to_a_running_worker_ends_as_in_a_replay(ran):
    everything = EVERYTHING.read_text()
    begins = everything[: everything.index("audiences:")] + (
        "audiences:\n  - {id: premium, criteria: {user_attribute: status, equals: Premium}}\n"
    )
    sent, until = generated(12_000, seed=31)
    half = len(sent) // 2
    await ran.create_topics()
    total = await ran.publish(sent[:half])
    worker = ran.start(None)
    await ran.apply(begins, 1)
    await eventually(lambda: ran.caught_up(total), within=180)
    await ran.apply(everything, 2)
    total += await ran.publish(sent[half:])
    await eventually(lambda: ran.in_force(2), within=120)
    await eventually(lambda: ran.is_through(worker), within=180)
    total += await ran.publish([], until)
    await eventually(lambda: ran.caught_up(total), within=120)

    expected = final_state(changes_of_a_replay(EVERYTHING, sent, until))
    assert len({key.rpartition(":")[0] for key in expected}) > 10
    found = {key: json.loads(value) for key, value in (await ran.published_state()).items()}
    assert found.keys() == expected.keys()
    assert {key: one["variant"] for key, one in found.items()} == {
        key: json.loads(value)["variant"] for key, value in expected.items()
    }
    for said in (await changes(ran)).values():
        in_order(said)
