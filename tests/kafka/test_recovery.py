"""Rows are read on from where their store ends, or from the beginning where it is worth nothing."""

import json
import logging

import pytest

from cdp_stream.kafka.recovery.profile_rows import ProfileRows
from cdp_stream.kafka.recovery.restore import RecoveryProgress
from cdp_stream.kafka.recovery.topic_identity import read_topic_identity
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings
from cdp_stream.store.rocks_rows import RocksRows
from tests.brokers.fixtures import EITHER
from tests.kafka.changelogs import Changelog
from tests.kafka.counting import CountingProcessor
from tests.store.stores import HOUR, Clock


def rows_of(changelog, store):
    return ProfileRows(store, changelog.client, changelog.topic)


@pytest.fixture
async def changelog(request, topic_prefix):
    settings = Settings(broker=request.getfixturevalue(request.param), prefix=topic_prefix)
    await ensure_topics(settings)
    return Changelog(settings)


@pytest.fixture
def reasons(caplog):
    caplog.set_level(logging.INFO, logger="cdp")
    return lambda: [r.facts["reason"] for r in caplog.records if r.msg == "local_rows_rebuilt"]


def rocks(folder):
    return RocksRows(folder, lambda: 1_760_000_000_000, memory=8 * 2**20)


@pytest.mark.parametrize("changelog", EITHER, indirect=True)
async def test_only_what_is_new_is_read_after_a_restart(changelog, tmp_path, reasons):
    rows = {b"%d" % n: b"%d" % n for n in range(500)}
    await changelog.write(1, rows.items())
    store = rocks(tmp_path)
    assert await rows_of(changelog, store).restore([0, 1]) == 500
    store.close()
    await changelog.write(1, [(b"3", b"new"), (b"4", None)])
    store = rocks(tmp_path)
    assert await rows_of(changelog, store).restore([0, 1]) == 2
    del rows[b"4"]
    assert dict(store.rows(1).items()) == {**rows, b"3": b"new"}
    assert dict(store.rows(0).items()) == {}
    assert reasons() == []
    store.close()


@pytest.mark.parametrize("changelog", EITHER, indirect=True)
async def test_rows_ahead_of_the_changelog_are_read_anew(changelog, tmp_path, reasons):
    await changelog.write(2, [(b"1", b"of the log")])
    store = rocks(tmp_path)
    await rows_of(changelog, store).restore([2])
    store.load(2, {b"2": b"of no log"}, 9)
    store.close()
    store = rocks(tmp_path)
    assert await rows_of(changelog, store).restore([2]) == 1
    assert dict(store.rows(2).items()) == {b"1": b"of the log"}
    assert reasons() == ["it reaches up to offset 9, but the changelog ends at 1"]
    store.close()


@pytest.mark.parametrize("changelog", EITHER[:1], indirect=True)
async def test_rows_are_fresh_only_where_nothing_was_written_behind_them(changelog, tmp_path):
    clock = Clock()
    await changelog.write(0, [(b"1", b"a")], transactional_id=f"{changelog.topic}-tx")
    await changelog.write(1, [(b"2", b"a")], transactional_id=f"{changelog.topic}-tx")
    store = RocksRows(tmp_path, clock, memory=8 * 1024 * 1024)
    profiles = rows_of(changelog, store)
    await profiles.restore([0, 1])
    await changelog.write(1, [(b"2", None)])  # by whoever took it over from us
    clock.now += HOUR
    await profiles.refresh(clock.now - HOUR)  # the coordinator last answered an hour ago
    assert store.aging().keys() == {0, 1}
    nobody = ProfileRows(store, {"bootstrap_servers": "127.0.0.1:1"}, changelog.topic)
    await nobody.refresh(clock.now)
    assert store.aging().keys() == {0, 1}
    await profiles.refresh(None)
    assert store.aging().keys() == {0, 1}
    await profiles.refresh(clock.now)
    assert store.aging().keys() == {1}
    store.close()
    clock.now += 11 * HOUR + 1
    store = RocksRows(tmp_path, clock, memory=8 * 1024 * 1024)
    assert await rows_of(changelog, store).restore([0, 1]) == 2
    assert dict(store.rows(0).items()) == {b"1": b"a"}
    assert dict(store.rows(1).items()) == {}
    store.close()


@pytest.mark.parametrize("changelog", EITHER[:1], indirect=True)
async def test_damage_that_shows_only_as_rows_are_read_is_mended(changelog, tmp_path, reasons):
    rows = {b"key-%d" % n: b"%d" % n for n in range(5_000)}
    await changelog.write(0, rows.items())
    store = rocks(tmp_path)
    await rows_of(changelog, store).restore([0])
    store.close()
    table_file = max((tmp_path / "0").glob("*.sst"), key=lambda path: path.stat().st_size)
    content = bytearray(table_file.read_bytes())
    content[len(content) // 3] ^= 0xFF
    table_file.write_bytes(content)
    store = rocks(tmp_path)
    profiles = rows_of(changelog, store)
    assert await profiles.restore([0]) == 0
    processor = await profiles.revive(0, CountingProcessor)
    assert processor._counts == {key: int(value) for key, value in rows.items()}
    assert dict(store.rows(0).items()) == rows
    assert [reason[:19] for reason in reasons()] == ["damaged: Corruption"]
    store.close()


@pytest.mark.parametrize("changelog", EITHER[:1], indirect=True)
async def test_a_topic_has_an_identity_beyond_its_name(changelog):
    cluster, topic_id = await read_topic_identity(changelog.client, changelog.topic)
    _, other = await read_topic_identity(changelog.client, changelog.settings.topic("events"))
    assert cluster
    assert len(topic_id) == len(other) == 32
    assert topic_id != other
    assert await read_topic_identity(changelog.client, "no-such-topic") == (cluster, "")


def test_progress_says_how_much_how_fast_and_how_long_still(caplog):
    caplog.set_level(logging.INFO, logger="cdp")
    now = iter([0.0, 4.0, 8.0, 9.0, 16.0])
    progress = RecoveryProgress("t", {1: 100}, clock=lambda: next(now))
    ends = {0: 1_000, 1: 1_100}
    for records, read_to in ((10, {0: 10}), (390, {0: 300, 1: 200}), (1, {0: 301}), (99, {0: 800})):
        progress.count(records)
        progress.note(read_to, ends)
    facts = [r.facts for r in caplog.records if r.msg == "recovery_progress"]
    assert json.loads(json.dumps(facts)) == [
        {"topic": "t", "records": 400, "records_per_second": 50, "percent": 20.0,
         "seconds_left": 32},
        {"topic": "t", "records": 500, "records_per_second": 31, "percent": 40.0,
         "seconds_left": 24},
    ]  # fmt: skip
