"""`cdp worker` itself, and `cdp apply` beside it, for tests that compare with `cdp replay`."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import ClassVar, TypeVar

from cdp_stream.formats.definitions_row import DEFINITIONS_KEY, decode_definitions
from cdp_stream.formats.rows import OWN_ROW, epoch_of
from cdp_stream.kafka.produce import publish_lines, publisher
from tests.brokers import forked
from tests.brokers.forked import ForkedWorker, run_cdp
from tests.topologies.replays import EVERYTHING
from tests.topologies.running import Running, Worker, ended, eventually

CDP = Path(sys.executable).parent / "cdp"
Found = TypeVar("Found", bound=Collection[int])


class CdpRunning(Running):
    """Runs `cdp worker`, with definitions from files or, without any, those that are applied.

    Attributes:
        starts_the_command: Whether its workers are started as by an operator, and not forked.
    """

    starts_the_command: ClassVar[bool] = False

    def start_cdp(
        self,
        definitions: Path | None = EVERYTHING,
        *flags: str,
        data: str | None = None,
        **variables: str,
    ) -> Worker:
        """Start a worker; without definitions it follows what is applied."""
        number = len(self.workers)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CDP_")}
        environment |= {"CDP_SESSION_TIMEOUT": "6", "CDP_REBALANCE_TIMEOUT": "6", **variables}
        arguments = [
            "worker", *(() if definitions is None else ("--definitions", definitions)),
            "--broker", self.settings.broker, "--prefix", self.settings.prefix,
            "--data-dir", self.directory / (data or f"data-{number}"),
            "--clock", self.settings.clock, "--guarantee", self.settings.guarantee, *flags,
        ]  # fmt: skip
        with (self.directory / f"worker-{number}.log").open("wb") as log:
            # A library that is loaded before Python is not in a process that is forked.
            if self.starts_the_command or "LD_PRELOAD" in environment:
                worker: Worker = subprocess.Popen(
                    [CDP, *arguments], stderr=log, env=environment, cwd=self.directory
                )
            else:
                worker = ForkedWorker(
                    forked.CDP, arguments, log=log.fileno(), env=environment, cwd=self.directory
                )
        self.workers.append(worker)
        return worker

    async def caught_up(self, total: int) -> bool:
        newest = self.workers[-1]
        assert newest.poll() is None, self.log_of(newest)
        return await super().caught_up(total)

    async def publish(self, lines: list[bytes], until: int | None = None) -> int:
        """Publish lines, then a time marker for `until`; returns how many records that makes."""
        async with publisher(self.settings) as to:
            sent = await publish_lines(to, iter(lines), until=until, mark=until is not None)
        return sent.records + (self.partitions if until is not None else 0)

    async def published(self) -> Counter[bytes]:
        """How often each membership change was published."""
        read = await self.read("memberships")
        return Counter(record.value for records in read.values() for record in records)

    async def published_state(self) -> dict[str, bytes]:
        """The newest record of each membership that has not ended."""
        state = {}
        for records in (await self.read("membership-state")).values():
            for record in records:
                state[record.key.decode()] = record.value
        return {key: value for key, value in state.items() if value is not None}

    async def cdp(self, verb: str, text: str, *flags: str) -> tuple[int, str, str]:
        """Run `cdp plan` or `cdp apply` on a text; returns exit code, output and errors."""
        file = self.directory / "definitions.yaml"
        file.write_text(text)
        arguments = [verb, file, "--broker", self.settings.broker, "--prefix",
                     self.settings.prefix, *flags]  # fmt: skip
        return await run_cdp(arguments, env=os.environ, cwd=self.directory)

    async def apply(self, text: str, version: int) -> None:
        code, out, errors = await self.cdp("apply", text, "--yes")
        assert (code, f"applied version {version}" in out) == (0, True), out + errors

    async def own_rows(self) -> dict[int, dict[bytes, bytes]]:
        """The newest committed rows of each partition's changelog."""
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

    async def killed_when(self, worker: Worker, asked: Callable[[], Awaitable[Found]]) -> Found:
        """Kill a worker as soon as something holds, and return what it was as the worker ended."""
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
        """Whether each partition has had a version in force, on some worker."""
        found = {
            line["partition"]
            for worker in self.workers
            for line in self.facts(worker, "definitions_in_force")
            if line["version"] == str(version)
        }
        return len(found) == self.partitions
