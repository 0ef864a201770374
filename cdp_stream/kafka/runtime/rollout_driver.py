"""When one partition prepares a switch to new definitions, switches, and migrates its rows.

A switch is prepared in another thread, for one partition at a time. Meanwhile the partition
continues under its present definitions. The switch itself then takes some ms.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from cdp_stream.core.model.definition import Account
from cdp_stream.kafka.recovery.replaced_topics import definitions_were_replaced
from cdp_stream.kafka.runtime.task_context import TaskContext
from cdp_stream.observability.log import log
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import Effects
from cdp_stream.partition.processor import ProfileProcessor

__all__ = ["RolloutDriver"]

FIRST_MIGRATED: Final = 5
"""Rows in the first slice after a switch."""
MIGRATED_AT_ONCE: Final = 250
"""The most rows in a slice."""
_MIGRATE_S: Final = 0.005
"""How long a slice should take; it has fewer rows if many audiences changed."""
_BEHIND_S = 30.0
"""How long a partition waits for definitions that another worker has read; and how often it logs
that it waits for some that this worker has read and cannot use.
"""


class RolloutDriver:
    """The rollouts of definitions in one partition, one after the other.

    The caller writes the effects that it returns.

    Args:
        number: The partition's number.
        processor: The partition's.
        context: What all tasks of the worker share.
    """

    def __init__(self, number: int, processor: ProfileProcessor, context: TaskContext) -> None:
        self._number = number
        self._rollout = processor.rollout
        self._context = context
        self._source = context.definitions
        self._preparing: asyncio.Task[None] | None = None
        self._span = ("", "")
        self._skipped: Sequence[Account] = ()
        self._behind_since: float | None = None
        self._migrate_rows = FIRST_MIGRATED

    @property
    def has_definitions(self) -> bool:
        """Whether definitions are in force, and this worker has them."""
        return self._rollout.version is not None and self._rollout.is_available

    def can_evaluate(self) -> bool:
        """Whether this worker has the definitions in force; it may have restored the partition
        before it read them.
        """
        return self._rollout.is_available or self._rollout.recall()

    def wanted(self) -> Definitions | None:
        """The definitions to switch to now; ``None`` if there are none, or while the partition
        continues under its present ones and the switch is prepared.
        """
        if self._source is None:
            return None
        latest, rollout = self._source.latest, self._rollout
        version = rollout.version
        if version == latest.version:
            self._behind_since = None
            return None
        goes_on = self.has_definitions and not self._source.is_newer(version or "")
        return None if goes_on and not self.is_prepared(latest) else latest

    def is_prepared(self, definitions: Definitions | None) -> bool:
        """Whether a switch is prepared; if not, its preparation starts.

        Args:
            definitions: The ones to switch to; ``None`` for the end of the backfill.

        Raises:
            Exception: The preparation failed.
        """
        if self._preparing is not None:
            if not self._preparing.done():
                return False
            self._preparing.result()
            self._preparing = None
        work = self._to_prepare(definitions)
        if work is not None:
            self._preparing = asyncio.create_task(self._prepare(work))
            self._preparing.add_done_callback(lambda _prepared: self._context.work.set())
        return work is None

    def _to_prepare(self, definitions: Definitions | None) -> Callable[[], object] | None:
        rollout = self._rollout
        if definitions is None or rollout.version is None:
            return rollout.prepare(definitions)
        span = rollout.version, definitions.version
        if span != self._span:
            return lambda: self._look_up(span)
        return rollout.prepare(definitions, self._skipped)

    def _look_up(self, span: tuple[str, str]) -> None:
        """Find the versions in between, which may have to be compiled."""
        assert self._source is not None
        self._span, self._skipped = span, self._source.between(*span)

    async def _prepare(self, work: Callable[[], object]) -> None:
        async with self._context.preparation:
            await asyncio.to_thread(work)

    def must_wait(self, wanted: Definitions) -> bool:
        """Whether the definitions that are wanted cannot be put in force yet.

        Raises:
            ReplacedError: The partition waits for a version that the topic does not have.
        """
        version = self._rollout.version
        assert self._source is not None
        if version is not None and self._source.is_newer(version):
            self._wait_for(version, wanted)
            return True
        self._behind_since = None
        return not self.is_prepared(wanted)

    def _wait_for(self, version: str, latest: Definitions) -> None:
        """Wait for a version that another worker has read, and this one reads soon.

        A version that was read and is not in force here is still being prepared, or a newer release
        has applied it. A switch back would publish all its changes again, reversed.
        """
        assert self._source is not None
        now = self._context.now()
        if self._behind_since is None:
            self._behind_since = now
        if now - self._behind_since <= _BEHIND_S:
            return
        if not self._source.has_read(version):
            raise definitions_were_replaced(
                self._source.topic or "",
                f"as partition {self._number} is under version {version}, and the newest there is "
                f"{latest.version}",
            )
        self._behind_since = now
        log("partition_waiting_for_definitions", level=logging.ERROR, partition=self._number,
            version=version, newest_usable=latest.version,
            next="see why they cannot be used (definitions_invalid, outputs_without_topics); "
            "run the release that applied them, or apply others that this one can use",
        )  # fmt: skip

    def switch(self, wanted: Definitions) -> Effects:
        """Put definitions in force, with nothing of the partition in flight and nothing due."""
        rollout = self._rollout
        version = rollout.version
        started = time.perf_counter()
        effects = rollout.switch(wanted, skipped=() if version is None else self._skipped)
        seconds = time.perf_counter() - started
        self._migrate_rows = FIRST_MIGRATED
        log("definitions_in_force", partition=self._number, version=wanted.version,
            before=version, rows_to_migrate=rollout.rows_to_migrate(),
            waiting_for_history=len(rollout.missing), seconds=round(seconds, 3))  # fmt: skip
        if effects.started or effects.stopped:
            log("connections_changed", partition=self._number, started=effects.started,
                stopped=effects.stopped)  # fmt: skip
        return effects

    @property
    def must_migrate(self) -> bool:
        """Whether :meth:`migrate` has anything to do."""
        return self._rollout.rows_to_migrate() > 0

    def migrate(self) -> Effects:
        """Migrate one more slice of rows to the definitions in force."""
        rollout = self._rollout
        started, cpu = time.perf_counter(), time.thread_time()
        effects = rollout.migrate(self._migrate_rows)
        seconds, cpu = time.perf_counter() - started, time.thread_time() - cpu
        # By CPU time: while other processes use the CPU, fewer rows would gain nothing.
        if cpu > 2 * _MIGRATE_S:
            self._migrate_rows = max(1, self._migrate_rows // 2)
        elif cpu < _MIGRATE_S / 2:
            self._migrate_rows = min(MIGRATED_AT_ONCE, 2 * self._migrate_rows)
        self._context.metrics.migrated(seconds, effects)
        if not self.must_migrate:
            log("definitions_migrated", partition=self._number, version=rollout.version)
        return effects

    def log_unfinished(self) -> None:
        """Log what remains to do of a rollout, when the partition is assigned to this worker."""
        rollout = self._rollout
        if not self.has_definitions:
            return
        if rows := rollout.rows_to_migrate():
            log("definitions_migration_resumed", partition=self._number, version=rollout.version,
                rows_to_migrate=rows)  # fmt: skip
        backfill = rollout.backfill
        if backfill is not None and backfill.state is not None and not backfill.is_complete:
            log("backfill_resumed", partition=self._number, start=backfill.state.start,
                position=backfill.position)  # fmt: skip

    def close(self) -> None:
        """Cancel a preparation that is under way."""
        if self._preparing is not None:
            self._preparing.cancel()
