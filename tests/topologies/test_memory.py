"""A worker stays within its memory, whatever its profiles hold and however many partitions it has.

The profiles are as full as they get, with what takes most memory when decoded: lists of short
texts, eight bytes of memory for each byte of a row.
"""

import json
import signal
from pathlib import Path

import pytest

from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.replays import in_replay_order, replayed
from tests.topologies.running import ended, eventually, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


class Measured(CdpRunning):
    starts_the_command = True


ran = workers_on("kafka_broker", Measured, partitions=32, clock="stream")

PROFILES = 180
START = 1_700_000_000_000
MEMORY_MIB = 1024
DEFINITIONS = {
    "version": 1,
    "account": "acme",
    "workspaces": [
        {"id": "shop", "lookback": "30d", "inputs": [{"id": "web", "kind": "platform"}]}
    ],
    "audiences": [
        {"id": "players", "criteria": {"event": "Play"}},
        {"id": "buyers", "criteria": {"event": "Buy"}},
    ],
}


def batch(mpid: int, at: int, name: str, attributes: dict[str, list[str]] | None = None) -> bytes:
    event = {
        "event_type": "custom_event",
        "data": {"event_name": name, "source_message_id": f"e{at}"},
    }
    whole = {"mpid": mpid, "timestamp_unixtime_ms": START + at, "events": [event]}
    return json.dumps(
        whole | ({} if attributes is None else {"user_attributes": attributes})
    ).encode()


def lines() -> list[bytes]:
    """Profiles that are filled to the brim, and then a few tiny events of each."""
    texts = [f"{number:03d}" for number in range(1_000)]
    full = [{f"{part}-{number}": texts for number in range(18)} for part in range(4)]
    found = []
    for part in full:
        found += [batch(mpid, len(found) + mpid, "Fill", part) for mpid in range(PROFILES)]
    for name in ("Play", "Buy"):
        found += [batch(mpid, len(found) + mpid, name) for mpid in range(PROFILES)]
    return found


def most_resident_mib(worker) -> float:
    status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) / 1024


async def test_full_profiles_in_many_partitions_and_a_kill_stay_within_memory(ran):
    definitions = ran.directory / "definitions.yaml"
    definitions.write_text(json.dumps(DEFINITIONS), encoding="utf-8")
    sent = lines()
    await ran.create_topics()
    total = await ran.publish(sent)
    first = ran.start_cdp(definitions)
    await eventually(lambda: ran.caught_up(total // 2))
    most = [most_resident_mib(first)]
    first.send_signal(signal.SIGKILL)
    await ended(first)
    second = ran.start_cdp(definitions)
    await eventually(lambda: ran.caught_up(total))
    most.append(most_resident_mib(second))
    changes = replayed(definitions, sent, None)
    assert len(changes) == 2 * PROFILES
    messages = await ran.published()
    assert in_replay_order(messages) == changes
    assert set(messages.values()) == {1}
    assert max(most) < MEMORY_MIB
