"""Workers that follow the topic of applied definitions, on a real broker: whatever is applied, and
whoever is killed, the end is that of a replay under the last definitions.
"""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from cdp_stream.formats.definitions_record import DefinitionFile
from cdp_stream.formats.definitions_row import DEFINITIONS_KEY, decode_definitions
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.definitions.topic import AppliedElsewhereError, publish, read_applied
from cdp_stream.kafka.topics.ensure import ensure_definitions_topic
from cdp_stream.settings import Settings
from tests.brokers.fixtures import EITHER
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.replays import FIRST, SECOND, THIRD, final_state, generated, replayed
from tests.topologies.running import ended, eventually, running, stop


def variants(state: dict[str, bytes]) -> dict[str, str | None]:
    return {key: json.loads(value)["variant"] for key, value in state.items()}


async def check(ran: CdpRunning, lines: list[bytes], until: int, tmp_path: Path) -> None:
    """The state is that of a replay under the third definitions; changes alternate."""
    definitions = tmp_path / "third.yaml"
    definitions.write_text(THIRD)
    expected = final_state(replayed(definitions, lines, until))
    found = {key: json.loads(value) for key, value in (await ran.published_state()).items()}
    assert {key: message["variant"] for key, message in found.items()} == variants(expected)
    held: set[str] = set()
    seen: Counter[str] = Counter()
    for records in (await ran.read("memberships")).values():
        for record in records:
            message = json.loads(record.value)
            seen[message["message_id"]] += 1
            if seen[message["message_id"]] > 1:
                continue
            place = f"{message['audience_id']}:{message['mpid']}"
            assert (place in held) == (message["action"] == "delete"), message
            held.symmetric_difference_update({place})
    assert held == found.keys()
    if ran.settings.guarantee == "exactly-once":
        assert set(seen.values()) == {1}


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
async def test_two_workers_follow_two_versions_and_one_is_killed_as_it_takes_over(
    kafka_broker, topic_prefix, tmp_path, guarantee
):
    settings = Settings(
        broker=kafka_broker, prefix=topic_prefix, clock="stream", guarantee=guarantee
    )
    lines, until = generated(12_000, seed=21)
    third = len(lines) // 3
    with running(settings, tmp_path, kind=CdpRunning) as ran:
        await ran.create_topics()
        first, second = ran.start_cdp(None), ran.start_cdp(None)

        async def waits() -> bool:
            return bool(ran.facts(first, "waiting_for_definitions"))

        await eventually(waits)
        total = await ran.publish(lines[:third])
        await ran.apply(FIRST, 1)
        await eventually(lambda: ran.caught_up(total))
        await ran.apply(SECOND, 2)
        total += await ran.publish(lines[third : 2 * third])
        await eventually(lambda: ran.in_force(2))
        await eventually(lambda: ran.caught_up(total))
        await ran.apply(THIRD, 3)
        total += await ran.publish(lines[2 * third :], until)

        async def takes_over() -> bool:
            return any(line["version"] == "3" for line in ran.facts(second, "definitions_in_force"))

        await eventually(takes_over)
        second.kill()
        await ended(second)
        ran.start_cdp(None)
        await eventually(lambda: ran.caught_up(total))
        await check(ran, lines, until, tmp_path)
        assert first.poll() is None


PROFILES = 20_000
REDS = (
    "version: 1\naccount: a\nworkspaces: [{id: w, inputs: [{id: web, kind: platform}]}]\n"
    "audiences:\n"
    "  - {id: red, criteria: {user_attribute: color, equals: red}}\n"
    "  - {id: other, criteria: {not: {user_attribute: color, equals: red}}}\n"
)
BLUES = REDS.replace("equals: red", "equals: blue")


@pytest.mark.timeout(900)
@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
async def test_a_worker_that_is_killed_in_the_middle_of_its_rows_goes_on_with_the_rest(
    kafka_broker, topic_prefix, tmp_path, guarantee
):
    settings = Settings(
        broker=kafka_broker, prefix=topic_prefix, clock="stream", guarantee=guarantee
    )
    lines = [
        json.dumps(
            {
                "mpid": mpid,
                "timestamp_unixtime_ms": 1_700_000_000_000 + mpid,
                "events": [],
                "user_attributes": {"color": "blue" if mpid % 2 else "red"},
            }
        ).encode()
        for mpid in range(PROFILES)
    ]
    with running(settings, tmp_path, kind=CdpRunning) as ran:
        await ran.create_topics()
        await ran.apply(REDS, 1)
        total = await ran.publish(lines)
        first = ran.start_cdp(None)
        await eventually(lambda: ran.caught_up(total), within=180)
        await ran.apply(BLUES, 2)
        half = await ran.killed_when(first, ran.half_swept)

        second = ran.start_cdp(None)

        def reported(fact: str) -> set[int]:
            return {line["partition"] for line in ran.facts(second, fact)}

        async def is_through() -> bool:
            assert second.poll() is None, ran.log_of(second)
            return half <= reported("definitions_migrated") and not await unswept()

        async def unswept() -> set[int]:
            states = [rows[DEFINITIONS_KEY] for rows in (await ran.own_rows()).values()]
            found = [decode_definitions(state) for state in states]
            return {n for n, one in enumerate(found)
                    if one.version != "2" or one.swept < one.epoch}  # fmt: skip

        await eventually(is_through, within=180)
        # It went on under the definitions that were in force, and did not take them over again.
        assert half <= reported("definitions_migration_resumed")
        assert not half & reported("definitions_in_force")

        state = await ran.published_state()
        assert state.keys() == {
            f"{'red' if mpid % 2 else 'other'}:{mpid}" for mpid in range(PROFILES)
        }
        said = Counter(
            json.loads(record.value)["message_id"]
            for records in (await ran.read("memberships")).values()
            for record in records
        )
        # One add as it came; then one delete and one add.
        assert len(said) == 3 * PROFILES
        if guarantee == "exactly-once":
            assert set(said.values()) == {1}


@pytest.mark.embedded
@pytest.mark.slow
async def test_a_worker_on_the_embedded_broker_follows_what_is_applied(
    embedded_broker, topic_prefix, tmp_path
):
    settings = Settings(
        broker=embedded_broker, prefix=topic_prefix, clock="stream", guarantee="at-least-once"
    )
    lines, until = generated(3_000, seed=22)
    with running(settings, tmp_path, kind=CdpRunning) as ran:
        code, out, _ = await ran.cdp("plan", FIRST, "--json")
        assert code == 0
        assert {"kind": "audience", "id": "premium", "action": "add", "recalculates": True,
                "fields": []} in json.loads(out)["changes"]  # fmt: skip
        await ran.create_topics()
        await ran.apply(FIRST, 1)
        total = await ran.publish(lines[:1_500])
        worker = ran.start_cdp(None)
        await eventually(lambda: ran.caught_up(total))
        await ran.apply(SECOND, 2)
        await eventually(lambda: ran.in_force(2))
        await ran.apply(THIRD, 3)
        total += await ran.publish(lines[1_500:], until)
        await eventually(lambda: ran.caught_up(total))
        await check(ran, lines, until, tmp_path)
        code, out, _ = await ran.cdp("apply", THIRD, "--yes")
        assert (code, "Nothing to change" in out) == (0, True)
        code, _, errors = await ran.cdp("apply", FIRST)
        assert (code, "--yes" in errors) == (2, True)
        code, _, errors = await ran.cdp("apply", THIRD.replace("audience: idea", "audience: x"))
        assert code == 2
        code, _, errors = await ran.cdp(
            "apply", THIRD.replace("{id: premium, ", "{id: premiums, "), "--yes"
        )
        assert code == 1
        assert "there is no audience or milestone `premium`" in errors
        assert worker.poll() is None
        # What cannot be read is passed over, and what was in force stays.
        topic = settings.topic("definitions")
        applied = await read_applied(client_settings(settings), topic)
        assert [one.record.version for one in applied] == [1, 2, 3]
        await stop(worker)


@pytest.mark.parametrize("where", EITHER)
async def test_of_two_who_apply_at_once_the_later_is_told(where, request, topic_prefix):
    settings = Settings(broker=request.getfixturevalue(where), prefix=topic_prefix)
    await ensure_definitions_topic(settings)
    files = [DefinitionFile("a", "x")]
    assert await publish(settings, "acme", files, after=0) == 1
    with pytest.raises(AppliedElsewhereError, match="somebody else"):
        await publish(settings, "acme", files, after=0)
    outcomes = await asyncio.gather(
        *(publish(settings, "acme", files, after=1) for _ in range(2)), return_exceptions=True
    )
    applied = await read_applied(client_settings(settings), settings.topic("definitions"))
    assert [one.record.version for one in applied][-1] == 2
    assert len([one for one in applied if one.record.version == 2]) == 1
    assert sorted(type(one).__name__ for one in outcomes) == ["AppliedElsewhereError", "int"]


@pytest.mark.kafka
@pytest.mark.slow
async def test_a_topic_made_anew_under_a_running_worker_is_noticed(
    kafka_broker, topic_prefix, tmp_path
):
    settings = Settings(broker=kafka_broker, prefix=topic_prefix, clock="stream")
    name = settings.topic("definitions")
    with running(settings, tmp_path, kind=CdpRunning) as ran:
        await ran.apply(FIRST, 1)
        worker = ran.start_cdp(None)
        await eventually(lambda: ran.in_force(1), within=60)
        await ran.delete_topics(name)
        await ran.apply(SECOND, 1)
        assert await ended(worker, within=60) == 3
        assert f"{name} was deleted and created again" in ran.log_of(worker)
