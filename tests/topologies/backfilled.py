"""Workers that read history, streams of visits for them, and the members that they end with."""

import json
from collections import defaultdict
from pathlib import Path
from random import Random

import httpx

from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_files
from cdp_stream.formats.backfill_rows import BACKFILL_KEY, decode_backfill
from cdp_stream.formats.rows import PARTITION_KEY, decode_partition
from cdp_stream.kafka.clients.probe import free_port
from cdp_stream.offline.replay import Replay
from tests.topologies.cdp_workers import CdpRunning

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


class Backfilled(CdpRunning):
    """A worker that can be asked how far it is."""

    ports: dict[int, int]

    def start(self, definitions: Path | None):
        """With a file, or (None) following what is applied."""
        port = free_port()
        worker = self.start_cdp(definitions, CDP_METRICS_PORT=str(port), CDP_MEMORY="4")
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


def defined(directory: Path, name: str, *audiences: str) -> Path:
    path = directory / f"{name}.yaml"
    path.write_text(HEAD + "".join(audiences))
    return path


def visits(count: int, first: int = 0, profiles: int = 2_000) -> list[bytes]:
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


def members_of_a_replay(definitions: Path, read: list[bytes], until: int) -> dict[str, set[int]]:
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
