"""The consumers that docs/memberships.md shows are given every change, and know who is in."""

import asyncio
import json
import os
import signal
import subprocess
import threading

import pytest

from cdp_stream.cli.init import write_folder
from cdp_stream.cli.main import main
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings
from tests.brokers.workers import records_of, running_worker
from tests.docs.programs import programs_of
from tests.node import packages
from tests.schemas.validation import complaints

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

NOW = 1_767_225_600_000
PROGRAMS = programs_of("docs/memberships.md")
FOLLOWING = [title for title in PROGRAMS if title.endswith("every join and leave")]


@pytest.fixture(scope="module")
def written(shared_kafka_address, tmp_path_factory):
    """A prefix under which a worker has read the events of `cdp init`, and its changes."""
    folder = tmp_path_factory.mktemp("consumers")
    write_folder(folder, NOW)
    prefix = f"test-{os.getpid()}-consumers"
    definitions, events = folder / "definitions.yaml", str(folder / "events.ndjson")
    replayed = folder / "changes.ndjson"
    offline = ("--definitions", str(definitions), "--events", events, "--out", str(replayed))
    assert main(["replay", *offline]) == 0
    changes = [json.loads(line) for line in replayed.read_text().splitlines()]
    asyncio.run(ensure_topics(Settings(broker=shared_kafka_address, prefix=prefix)))
    online = ("--broker", shared_kafka_address, "--prefix", prefix)
    assert main(["produce", "--events", events, "--until", "last", "--create", *online]) == 0
    with running_worker(shared_kafka_address, prefix, definitions, folder, "--clock", "stream"):
        told = records_of(shared_kafka_address, f"{prefix}.output.seen", 13)
        messages = [json.loads(record.value) for record in asyncio.run(told)]
        asyncio.run(records_of(shared_kafka_address, f"{prefix}.memberships", len(changes)))
    assert [complaints("output-message", message) for message in messages] == [[]] * len(messages)
    return prefix, changes


def test_the_page_shows_consumers_in_two_languages():
    assert {PROGRAMS[title].language for title in FOLLOWING} == {"python", "javascript"}
    assert len(PROGRAMS) == len(FOLLOWING) + 1


@pytest.mark.parametrize("title", FOLLOWING)
def test_a_consumer_is_given_every_change(title, written, kafka_broker, tmp_path):
    prefix, changes = written
    expected = {
        f"{one['action']} {one['audience_id']} {one['mpid']} {one['message_id']}" for one in changes
    }
    packages.install()
    command, environment = PROGRAMS[title].at(kafka_broker, prefix).saved(tmp_path)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as consumer:
        overdue = threading.Timer(120, consumer.kill)
        overdue.start()
        found = {consumer.stdout.readline().rstrip() for _ in changes}
        consumer.send_signal(signal.SIGTERM)
        overdue.cancel()
    assert found == expected


def test_who_is_in_is_who_has_joined_and_not_left(written, kafka_broker, tmp_path):
    prefix, changes = written
    members = {}
    for change in changes:
        of_audience = members.setdefault(change["audience_id"], set())
        (of_audience.add if change["action"] == "add" else of_audience.discard)(change["mpid"])
    program = PROGRAMS["Python: who is in now"].at(kafka_broker, prefix)
    lines = program.run(tmp_path).splitlines()
    assert lines == [
        " ".join([audience, *sorted(members[audience], key=int)]) for audience in sorted(members)
    ]
    assert "window-shoppers 101" in lines
