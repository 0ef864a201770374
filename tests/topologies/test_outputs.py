"""What outputs are told by real workers is what a pure run tells them, whatever is killed."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from cdp_stream.core.engine.evaluation import Engine
from cdp_stream.core.model.row import Row
from cdp_stream.core.outputs.messages import Emission
from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_files
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.formats.output import OutputEncoder
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.replays import replayed
from tests.topologies.running import ended, eventually, stop, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

START = 1_700_000_000_000
MINUTE = 60_000
PROFILES = 300
DEFINITIONS = """version: 1
account: shop
workspaces:
  - {id: main, lookback: 30d, inputs: [{id: web, kind: platform}]}
calculated_attributes:
  - {id: spent, calculation: sum, of: {event: Buy, attribute: price}, within: 20m}
audiences:
  - {id: active, tags: [all], criteria: {event: Visit, when: {last: 40m}}}
  - id: buyers
    tags: [all]
    criteria: {event: Buy, when: {last: 30m}}
    ab_test: {variants: [{name: Blue, percent: 50}]}
outputs:
  - {id: hook, connector: webhook, settings: {url: "http://localhost", secret: "${CDP_SECRET_H}"}}
  - {id: mail, connector: mailchimp, settings: {api_key: "${CDP_SECRET_MAIL}"}}
connections:
  - {tags: [all], output: hook, user_attributes: [spent, tier]}
  - {audience: buyers, variant: Blue, output: mail, settings: {list_id: a1}}
"""
LATER = DEFINITIONS.replace("outputs:\n", "outputs:\n  - {id: more, connector: log}\n") + (
    "  - {audience: active, output: more}\n"
)


ran = workers_on("kafka_broker", CdpRunning, clock="stream")


def stream(total: int) -> tuple[list[bytes], int]:
    """Batches in time order, with identities and attributes that change; and an instant after."""
    draw = random.Random(7)
    lines = []
    for number in range(total):
        batch = {
            "mpid": draw.randrange(PROFILES),
            "timestamp_unixtime_ms": START + number * 1_000,
            "source_request_id": f"r{number}",
        }
        if draw.random() < 0.8:
            data = {
                "event_name": draw.choice(["Visit", "Visit", "Buy"]),
                "source_message_id": f"m{number}",
            }
            data["custom_attributes"] = {"price": draw.randrange(1, 9)}
            batch["events"] = [{"event_type": "custom_event", "data": data}]
        if draw.random() < 0.3:
            value = draw.choice([None, "a@x", "b@x", "c@x"])
            batch["user_identities"] = {draw.choice(["email", "customer_id"]): value}
        if draw.random() < 0.2:
            batch["user_attributes"] = {"tier": draw.randrange(3)}
        lines.append(json.dumps(batch).encode())
    return lines, START + total * 1_000 + 10 * MINUTE


def purely_told(definitions: Path, lines: list[bytes], until: int) -> dict[str, list[bytes]]:
    """What a run without Kafka tells each output."""
    account = load_files([definitions]).account
    assert account is not None
    plan = build_plan(account)
    engine, decoder, encoder = Engine(plan), BatchDecoder(plan.inputs), OutputEncoder(account.id)
    rows: dict[int, Row] = {}
    emission = Emission()
    for line in lines:
        batch, _rejects = decoder.decode_line(line)
        assert batch is not None
        engine.apply(rows.setdefault(batch.mpid, Row(batch.mpid)), batch, emission)
    for row in rows.values():
        engine.wake(row, until, emission)
    found: dict[str, list[bytes]] = {output.id: [] for output in account.outputs}
    for told in emission.messages:
        found[told.connection.output].append(encoder.encode(told))
    return found


def by_profile(messages: list[bytes]) -> dict[str, list[bytes]]:
    """The messages of each profile, in their order, each once."""
    found: dict[str, dict[bytes, None]] = {}
    for value in messages:
        found.setdefault(json.loads(value)["mpid"], {})[value] = None
    return {mpid: list(values) for mpid, values in found.items()}


async def told_by(ran: CdpRunning, output: str) -> list[bytes]:
    read = await ran.read(f"output.{output}")
    at_home = {
        record.key: number
        for number, records in (await ran.read("memberships")).items()
        for record in records
    }
    for number, records in read.items():
        for record in records:
            assert record.key == json.loads(record.value)["mpid"].encode()
            assert at_home[record.key] == number
    return [record.value for records in read.values() for record in records]


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
async def test_kill_9_loses_and_doubles_nothing_of_what_outputs_are_told(ran, tmp_path, guarantee):
    ran.settings = replace(ran.settings, guarantee=guarantee)
    definitions = tmp_path / "outputs.yaml"
    definitions.write_text(DEFINITIONS)
    lines, until = stream(8_000)
    expected = purely_told(definitions, lines, until)
    assert {name: len(found) > 500 for name, found in expected.items()} == {
        "hook": True,
        "mail": True,
    }
    kinds = Counter(json.loads(value)["action"] for value in expected["hook"])
    assert kinds.keys() == {"add", "delete", "attribute_update"}
    await ran.create_topics()
    total = 0
    for part in (lines[:4_000], lines[4_000:]):
        total += await ran.publish(part, until if part[-1] is lines[-1] else None)
        worker = ran.start_cdp(definitions, "--only", "profiles")
        goal = await ran.count("memberships") + 300

        async def reached(goal=goal, worker=worker):
            assert worker.poll() is None, ran.log_of(worker)
            return await ran.count("memberships") >= goal

        await eventually(reached)
        worker.kill()
        await ended(worker)
    ran.start_cdp(definitions, "--only", "profiles")
    await eventually(lambda: ran.caught_up(total))
    for output, messages in expected.items():
        found = await told_by(ran, output)
        assert by_profile(found) == by_profile(messages)
        assert guarantee != "exactly-once" or len(found) == len(messages)
    # What has a counterpart in the memberships is there with it.
    changes = {json.loads(value)["message_id"] for value in await ran.published()}
    assert changes == {
        json.loads(value)["message_id"] for value in replayed(definitions, lines, until)
    }


async def test_an_output_that_comes_later_gets_its_topic_and_every_member(ran, tmp_path):
    definitions = tmp_path / "outputs.yaml"
    definitions.write_text(DEFINITIONS)
    lines, _until = stream(2_000)
    await ran.create_topics()
    total = await ran.publish(lines)
    worker = ran.start_cdp(definitions, "--only", "profiles")
    await eventually(lambda: ran.caught_up(total))
    await stop(worker)
    definitions.write_text(LATER)
    worker = ran.start_cdp(definitions, "--only", "profiles")
    marked = total + await ran.publish([], START + 2_000 * 1_000)
    await eventually(lambda: ran.caught_up(marked))
    state = await ran.published_state()
    members = {
        json.loads(value)["mpid"] for key, value in state.items() if key.startswith("active:")
    }
    told = [json.loads(value) for value in await told_by(ran, "more")]
    activated = [one for one in told if ":activation:" in one["message_id"]]
    known = {one["mpid"] for one in activated}
    assert known
    assert known <= members
    assert len(activated) == len(known)
    assert {one["action"] for one in activated} == {"add"}
    assert all(one["user_identities"] for one in activated)
    assert '"connections_changed"' in ran.log_of(worker)
