"""Workers that follow the topic of applied definitions, on a real broker: whatever is applied, and
whoever is killed, the end is that of a replay under the last definitions.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import TypeVar

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from cdp_stream.formats.definitions_record import DefinitionFile
from cdp_stream.formats.definitions_row import DEFINITIONS_KEY, decode_definitions
from cdp_stream.formats.rows import OWN_ROW, epoch_of
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.definitions_topic import AppliedElsewhereError, publish, read_applied
from cdp_stream.kafka.topics.ensure import ensure_definitions_topic
from cdp_stream.settings import Settings
from tests.topologies.running import PARTITIONS, ended, eventually, running
from tests.topologies.test_worker_equals_replay import (
    EVERYTHING,
    CdpRunning,
    final_state,
    generated,
    replayed,
)

Found = TypeVar("Found", bound=Collection[int])

FIRST = EVERYTHING.read_text()
KEPT = """\
  - {id: k1, status: draft, criteria: {event: play video, count: {at_least: 3}, when: {last: 3d}}}
  - id: k2
    status: draft
    criteria:
      {commerce: purchase, where: [{field: total_amount, at_least: 100}], when: {last: 2d}}
  - {id: k3, status: draft, criteria: {event: play video, count: {at_least: 2}, when: {last: 3d}}}
journeys:
"""
FIRST = FIRST.replace("journeys:\n", KEPT)
"""What reads events in any version is in all of them, so no history is missing."""

EDITS = {
    "{id: watchers, criteria: {event: play video, count: {at_least: 2}":
        "{id: watchers, criteria: {event: play video, count: {at_least: 3}",
    "{id: idea, status: draft,": "{id: idea,",
    "{id: spenders, external_name: Big Spenders, ": "{id: big, ",
    "{id: premium, criteria: {user_attribute: status, equals: Premium}}":
        "{id: premium, criteria: {not: {user_attribute: status, equals: Premium}}}",
    "{id: quiet, ": "{id: quiet, ab_test: {variants: [{percent: 50}]}, ",
}  # fmt: skip
SECOND = FIRST
for old, new in EDITS.items():
    assert old in SECOND
    SECOND = SECOND.replace(old, new)
BOUGHT = FIRST[FIRST.index("          - id: bought") : FIRST.index("          - id: carted")]
CARTED = FIRST[FIRST.index("          - id: carted") : FIRST.index("          - {id: rest")]
THIRD = FIRST.replace(BOUGHT + CARTED, CARTED + BOUGHT).replace(
    "{id: watchers, ", "{id: watchers, ab_test: {variants: [{percent: 30}, {percent: 30}]}, "
)


class Following(CdpRunning):
    """Runs `cdp worker` without files, and `cdp apply`."""

    def follow(self, **variables: str) -> subprocess.Popen[bytes]:
        number = len(self.workers)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CDP_")}
        environment |= {"CDP_SESSION_TIMEOUT": "6", "CDP_REBALANCE_TIMEOUT": "6", **variables}
        command = [
            Path(sys.executable).parent / "cdp", "worker", "--broker", self.settings.broker,
            "--prefix", self.settings.prefix, "--data-dir", self.directory / f"data-{number}",
            "--clock", self.settings.clock, "--guarantee", self.settings.guarantee,
        ]  # fmt: skip
        with (self.directory / f"worker-{number}.log").open("wb") as log:
            worker = subprocess.Popen(command, stderr=log, env=environment, cwd=self.directory)
        self.workers.append(worker)
        return worker

    async def cdp(self, verb: str, text: str, *flags: str) -> tuple[int, str, str]:
        """Run `cdp plan` or `cdp apply` on a text; gives exit code, output and errors."""
        file = self.directory / "definitions.yaml"
        file.write_text(text)
        command = [
            str(Path(sys.executable).parent / "cdp"), verb, str(file), "--broker",
            self.settings.broker, "--prefix", self.settings.prefix, *flags,
        ]  # fmt: skip
        run = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, errors = await run.communicate()
        return run.returncode or 0, out.decode(), errors.decode()

    async def apply(self, text: str, version: int) -> None:
        code, out, errors = await self.cdp("apply", text, "--yes")
        assert (code, f"applied version {version}" in out) == (0, True), out + errors

    def facts(self, worker: subprocess.Popen[bytes], fact: str) -> list[dict]:
        lines = [json.loads(line) for line in self.log_of(worker).splitlines() if line[:1] == "{"]
        return [line for line in lines if line.get("fact") == fact]

    async def own_rows(self) -> dict[int, dict[bytes, bytes]]:
        """The newest rows of each partition's changelog that were committed."""
        found: dict[int, dict[bytes, bytes]] = {}
        for number, records in (await self.read_committed("profiles-changelog")).items():
            rows = {record.key: record.value for record in records}
            found[number] = {key: value for key, value in rows.items() if value is not None}
        return found

    async def half_swept(self) -> set[int]:
        """The partitions of which some rows have been written under the newest definitions, and
        others have yet to be looked at.
        """
        found = set()
        for number, rows in (await self.own_rows()).items():
            if DEFINITIONS_KEY not in rows:
                continue
            state = decode_definitions(rows[DEFINITIONS_KEY])
            epochs = {epoch_of(value) for key, value in rows.items() if key[0] != OWN_ROW}
            if state.swept < state.epoch and len(epochs) > 1 and state.epoch in epochs:
                found.add(number)
        return found

    async def killed_when(
        self, worker: subprocess.Popen[bytes], asked: Callable[[], Awaitable[Found]]
    ) -> Found:
        """Kill a worker as soon as something holds, and give what it was as the worker ended."""
        seen: list[Found] = []

        async def holds() -> bool:
            assert worker.poll() is None, self.log_of(worker)
            if not await asked():
                return False
            # It is stopped while it is looked at again, so that it still holds when it is killed.
            worker.send_signal(signal.SIGSTOP)
            if found := await asked():
                seen.append(found)
                worker.kill()
            worker.send_signal(signal.SIGCONT)
            return bool(seen)

        await eventually(holds, within=180)
        await ended(worker)
        return seen[0]

    async def in_force(self, version: int) -> bool:
        """Whether every partition has been told to be under a version, by some worker."""
        told = {
            line["partition"]
            for worker in self.workers
            for line in self.facts(worker, "definitions_in_force")
            if line["version"] == str(version)
        }
        return len(told) == PARTITIONS


def variants(state: dict[str, bytes]) -> dict[str, str | None]:
    return {key: json.loads(value)["variant"] for key, value in state.items()}


async def check(ran: Following, lines: list[bytes], until: int, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
async def test_two_workers_follow_two_versions_and_one_is_killed_as_it_takes_over(
    kafka_broker, topic_prefix, tmp_path, guarantee
):
    settings = Settings(
        broker=kafka_broker, prefix=topic_prefix, clock="stream", guarantee=guarantee
    )
    lines, until = generated(12_000, seed=21)
    third = len(lines) // 3
    with running(settings, tmp_path, kind=Following) as ran:
        await ran.create_topics()
        first, second = ran.follow(), ran.follow()

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
        ran.follow()
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
    with running(settings, tmp_path, kind=Following) as ran:
        await ran.create_topics()
        await ran.apply(REDS, 1)
        total = await ran.publish(lines)
        first = ran.follow()
        await eventually(lambda: ran.caught_up(total), within=180)
        await ran.apply(BLUES, 2)
        half = await ran.killed_when(first, ran.half_swept)

        second = ran.follow()

        def told(fact: str) -> set[int]:
            return {line["partition"] for line in ran.facts(second, fact)}

        async def is_through() -> bool:
            assert second.poll() is None, ran.log_of(second)
            return half <= told("definitions_swept") and not await unswept()

        async def unswept() -> set[int]:
            states = [rows[DEFINITIONS_KEY] for rows in (await ran.own_rows()).values()]
            found = [decode_definitions(state) for state in states]
            return {n for n, one in enumerate(found)
                    if one.version != "2" or one.swept < one.epoch}  # fmt: skip

        await eventually(is_through, within=180)
        # It went on under the definitions that were in force, and did not take them over again.
        assert half <= told("definitions_sweep_goes_on")
        assert not half & told("definitions_in_force")

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
async def test_a_worker_on_the_embedded_broker_follows_what_is_applied(
    embedded_broker, topic_prefix, tmp_path
):
    settings = Settings(
        broker=embedded_broker, prefix=topic_prefix, clock="stream", guarantee="at-least-once"
    )
    lines, until = generated(3_000, seed=22)
    with running(settings, tmp_path, kind=Following) as ran:
        code, out, _ = await ran.cdp("plan", FIRST, "--json")
        assert code == 0
        assert {"kind": "audience", "id": "premium", "action": "add", "recalculates": True,
                "fields": []} in json.loads(out)["changes"]  # fmt: skip
        await ran.create_topics()
        await ran.apply(FIRST, 1)
        total = await ran.publish(lines[:1_500])
        worker = ran.follow()
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
        worker.send_signal(signal.SIGTERM)
        assert await ended(worker) == 0


@pytest.mark.parametrize("where", ["kafka_broker", "embedded_broker"])
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


async def test_a_topic_made_anew_under_a_running_worker_is_noticed(
    kafka_broker, topic_prefix, tmp_path
):
    settings = Settings(broker=kafka_broker, prefix=topic_prefix, clock="stream")
    name = settings.topic("definitions")
    with running(settings, tmp_path, kind=Following) as ran:
        await ran.apply(FIRST, 1)
        worker = ran.follow()
        await eventually(lambda: ran.in_force(1), within=60)
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
        await admin.start()
        try:
            await admin.delete_topics([name])

            async def gone() -> bool:
                return name not in await admin.list_topics()

            await eventually(gone)
        finally:
            await admin.close()
        await ran.apply(SECOND, 1)
        assert await ended(worker, within=60) == 3
        assert f"{name} was deleted and made anew" in ran.log_of(worker)
