"""New and edited audiences on a live system: their history is read beside live traffic, whatever is
killed and whoever joins; nothing is said before it is in, and then exactly the differences.
"""

import json
from collections import defaultdict

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from cdp_stream.settings import Settings
from tests.topologies.backfilled import (
    ACTIVE,
    BUYER,
    EDITED,
    KEEN,
    LAPSED,
    SECOND,
    Backfilled,
    T,
    defined,
    members_of_a_replay,
    visits,
)
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.replays import EVERYTHING, final_state, generated, replayed
from tests.topologies.running import PARTITIONS, eventually, stop, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ran = workers_on("kafka_broker", Backfilled, clock="stream")


async def members_of(ran: CdpRunning) -> dict[str, set[int]]:
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


@pytest.mark.timeout(900)
async def test_a_new_audience_joins_when_its_history_is_in_whatever_is_killed(ran, tmp_path):
    before = defined(tmp_path, "before", ACTIVE, KEEN)
    after = defined(tmp_path, "after", ACTIVE, KEEN, BUYER, LAPSED)
    sent = visits(60_000)
    await ran.create_topics()
    total = await ran.publish(sent)
    worker = ran.start(before)
    await eventually(lambda: ran.caught_up(total), within=180)
    await stop(worker)

    worker = ran.start(after)
    first = visits(500, first=60_000)
    total += await ran.publish(first)
    sent += first

    saved = await ran.killed_when(worker, ran.half_read)
    assert not {"buyer", "lapsed"} & set(await changes(ran))

    worker, other = ran.start(after), ran.start(after)
    more = visits(500, first=60_500)
    total += await ran.publish(more)
    sent += more
    await eventually(lambda: ran.is_through(worker, other), within=180)
    # Reading went on behind what was kept, and began anew nowhere.
    went_on = [line for one in (worker, other) for line in ran.facts(one, "backfill_resumed")]
    for number, position in saved.items():
        positions = [line["position"] for line in went_on if line["partition"] == number]
        assert min(positions) == position
    began = [line for one in (worker, other) for line in ran.facts(one, "backfill_started")]
    assert not saved.keys() & {line["partition"] for line in began}
    last = visits(2_000, first=61_000)
    until = T + 64_000 * SECOND
    total += await ran.publish(last, until)
    sent += last
    await eventually(lambda: ran.caught_up(total), within=120)

    expected = members_of_a_replay(after, sent, until)
    assert min(map(len, (expected[name] for name in ("keen", "buyer", "lapsed")))) > 50
    assert await members_of(ran) == expected
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
    sent, until = visits(8_000), T + 9_000 * SECOND
    await ran.create_topics()
    total = await ran.publish(sent, until)
    worker = ran.start(before)
    await eventually(lambda: ran.caught_up(total), within=120)
    await stop(worker)
    already = {one["message_id"] for one in (await changes(ran))["keen"]}
    old, new = members_of_a_replay(before, sent, until), members_of_a_replay(after, sent, until)
    assert old["keen"] - new["keen"]
    assert new["keen"] - old["keen"]

    worker = ran.start(after)
    await eventually(lambda: ran.is_through(worker), within=120)
    await stop(worker)
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
    assert await members_of(ran) == new


async def test_it_says_when_the_log_is_shorter_than_the_lookback(ran, tmp_path):
    before = defined(tmp_path, "before", ACTIVE)
    after = defined(tmp_path, "after", ACTIVE, BUYER)
    sent, until = visits(8_000), T + 9_000 * SECOND
    await ran.create_topics()
    total = await ran.publish(sent, until)
    worker = ran.start(before)
    await eventually(lambda: ran.caught_up(total), within=120)
    await stop(worker)
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
    await stop(worker)
    facts = ran.log_of(worker)
    assert facts.count("backfill_log_too_short") == PARTITIONS
    left = [
        record.value
        for number, found in records.items()
        for record in found
        if record.offset >= 1_000 and record.value
    ]
    expected = members_of_a_replay(after, left, until)["buyer"]
    assert expected != members_of_a_replay(after, sent, until)["buyer"]
    assert (await members_of(ran))["buyer"] == expected


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

    expected = final_state(replayed(EVERYTHING, sent, until))
    assert len({key.rpartition(":")[0] for key in expected}) > 10
    found = {key: json.loads(value) for key, value in (await ran.published_state()).items()}
    assert found.keys() == expected.keys()
    assert {key: one["variant"] for key, one in found.items()} == {
        key: json.loads(value)["variant"] for key, value in expected.items()
    }
    for said in (await changes(ran)).values():
        in_order(said)
