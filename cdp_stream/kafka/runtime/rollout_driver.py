"""The definitions of the partitions that a worker holds: when one takes over others, how its rows
follow, and when what has no history yet gets it (backfill.py).

What a switch needs is worked out beforehand, in another thread and once for all partitions, while
the partition goes on under the definitions that it has. The switch itself then takes some ms.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from cdp_stream.core.definition import Account
from cdp_stream.kafka.definitions_source import DefinitionsSource
from cdp_stream.kafka.log import log
from cdp_stream.kafka.metrics import Metrics
from cdp_stream.kafka.recovery.replaced_topics import definitions_were_replaced
from cdp_stream.kafka.runtime.backfill_driver import Backfills
from cdp_stream.kafka.runtime.record_queue import FIRST_SWEPT, HostedPartition
from cdp_stream.kafka.runtime.task_context import HostingPlan
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import Effects

__all__ = ["DefinitionChanges"]

SWEPT_AT_ONCE: Final = 250
"""Rows looked at in a turn because definitions changed, at most."""
_SWEEP_S: Final = 0.005
"""How long that should take, roughly; fewer rows are looked at where many audiences changed."""
_BEHIND_S = 30.0
"""So long a partition waits for definitions that another worker has read already; and so often it
is said that it waits for some that this worker has read and cannot use.
"""


class DefinitionChanges:
    """Brings partitions under the newest definitions.

    Args:
        source: Where definitions come from; ``None`` where processors know that.
        plan: Which log, for backfills.
        metrics: Where to count.
        submit: Takes the effects of a partition, and whether they are a switch.
        wake: Called when there is something to do.
        fail: Told what ends the worker.
    """

    def __init__(
        self,
        source: DefinitionsSource | None,
        plan: HostingPlan,
        metrics: Metrics,
        *,
        submit: Callable[[HostedPartition, Effects, bool], None],
        wake: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._source = source
        self._metrics = metrics
        self._submit = submit
        self._wake = wake
        self._fail = fail
        self._backfills = Backfills(plan, metrics.backfill, submit=submit, wake=wake)
        self._skipped: dict[tuple[str, str], Sequence[Account]] = {}
        # One after the other: what was worked out for one partition serves the next.
        self._one_at_a_time = asyncio.Lock()

    def wanted(self, hosted: HostedPartition) -> Definitions | None:
        """The definitions that a partition is to take over now; ``None`` for none, or as long as it
        goes on under those that it has while the switch is prepared.
        """
        if self._source is None:
            return None
        latest, rollout = self._source.latest, hosted.processor.rollout
        version = rollout.version
        if version == latest.version:
            return None
        goes_on = (
            version is not None and rollout.is_available and not self._source.is_newer(version)
        )
        return None if goes_on and not self.is_prepared(hosted, latest) else latest

    def is_prepared(self, hosted: HostedPartition, definitions: Definitions | None) -> bool:
        """Whether a switch would be quick; if not, that is seen to.

        Args:
            hosted: The partition.
            definitions: To which; ``None`` is for the end of its backfill.
        """
        if hosted.preparing is not None:
            return False
        work = self._to_prepare(hosted, definitions)
        if work is not None:
            hosted.preparing = asyncio.create_task(self._prepare(hosted, work))
        return work is None

    def _to_prepare(
        self, hosted: HostedPartition, definitions: Definitions | None
    ) -> Callable[[], object] | None:
        rollout = hosted.processor.rollout
        if definitions is None or rollout.version is None:
            return rollout.prepare(definitions)
        span = rollout.version, definitions.version
        if span not in self._skipped:
            for other in [one for one in list(self._skipped) if one[1] != span[1]]:
                del self._skipped[other]
            return lambda: self._look_up(span)
        return rollout.prepare(definitions, self._skipped[span])

    def _look_up(self, span: tuple[str, str]) -> None:
        """The versions in between may have to be compiled."""
        assert self._source is not None
        self._skipped[span] = self._source.between(*span)

    async def _prepare(self, hosted: HostedPartition, work: Callable[[], object]) -> None:
        try:
            async with self._one_at_a_time:
                await asyncio.to_thread(work)
        except Exception as error:  # noqa: BLE001 - the outer edge: it ends the worker, told once
            self._fail(error)
        hosted.preparing = None
        self._wake()

    def must_wait(self, hosted: HostedPartition, wanted: Definitions) -> bool:
        """Whether a partition that wants definitions cannot have them yet.

        Raises:
            ReplacedError: It waits for a version that does not come.
        """
        version = hosted.processor.rollout.version
        assert self._source is not None
        if version is not None and self._source.is_newer(version):
            self._wait_for(hosted, version, wanted)
            return True
        hosted.behind_since = None
        return not self.is_prepared(hosted, wanted)

    def _wait_for(self, hosted: HostedPartition, version: str, latest: Definitions) -> None:
        """Another worker has read more of the topic; so shall we in a moment, if it is the same.

        One that was read and is not in force here is still being made ready, or a newer release has
        applied it. To go back would tell all that it changed again, and backwards.
        """
        assert self._source is not None
        now = time.monotonic()
        if hosted.behind_since is None:
            hosted.behind_since = now
        elif now - hosted.behind_since > _BEHIND_S and self._source.has_read(version):
            hosted.behind_since = now
            log("partition_waits_for_definitions", level=logging.ERROR, partition=hosted.number,
                version=version, newest_usable=latest.version,
                next="see why they cannot be used (definitions_invalid, outputs_without_topics); "
                "run the release that applied them, or apply others that this one can use",
            )  # fmt: skip
        elif now - hosted.behind_since > _BEHIND_S:
            raise definitions_were_replaced(
                self._source.topic or "",
                f"as partition {hosted.number} is under version {version}, and the newest there is "
                f"{latest.version}",
            )

    def put_in_force(self, hosted: HostedPartition, wanted: Definitions) -> None:
        """Let a partition take over definitions, with nothing on its way and nothing due."""
        rollout = hosted.processor.rollout
        version = rollout.version
        started = time.perf_counter()
        skipped = () if version is None else self._skipped[version, wanted.version]
        effects = rollout.switch(wanted, skipped=skipped)
        seconds = time.perf_counter() - started
        hosted.sweep_rows = FIRST_SWEPT
        self._submit(hosted, effects, True)
        log("definitions_in_force", partition=hosted.number, version=wanted.version,
            before=version, rows_to_sweep=rollout.rows_to_migrate(),
            waiting_for_history=len(rollout.missing), seconds=round(seconds, 3))  # fmt: skip
        if effects.started or effects.stopped:
            log("connections_changed", partition=hosted.number, started=effects.started,
                stopped=effects.stopped)  # fmt: skip

    def taken_over(self, hosted: HostedPartition) -> None:
        """Say what a partition that comes to this worker has left to do of a change."""
        rollout = hosted.processor.rollout
        if not rollout.is_available or rollout.version is None:
            return
        if rows := rollout.rows_to_migrate():
            log("definitions_sweep_goes_on", partition=hosted.number, version=rollout.version,
                rows_to_sweep=rows)  # fmt: skip
        backfill = rollout.backfill
        if backfill is not None and backfill.state is not None and not backfill.is_complete:
            log("backfill_goes_on", partition=hosted.number, start=backfill.state.start,
                position=backfill.position)  # fmt: skip

    def sweep(self, hosted: HostedPartition) -> bool:
        """Bring some more rows of a partition under its definitions, if there are any."""
        rollout = hosted.processor.rollout
        if not rollout.rows_to_migrate() or not hosted.lane.has_room:
            return False
        started, cpu = time.perf_counter(), time.thread_time()
        effects = rollout.migrate(hosted.sweep_rows)
        seconds, cpu = time.perf_counter() - started, time.thread_time() - cpu
        # By CPU time: on a machine that is busy with other things fewer rows would gain nothing.
        if cpu > 2 * _SWEEP_S:
            hosted.sweep_rows = max(1, hosted.sweep_rows // 2)
        elif cpu < _SWEEP_S / 2:
            hosted.sweep_rows = min(SWEPT_AT_ONCE, 2 * hosted.sweep_rows)
        self._metrics.swept(seconds, effects)
        self._submit(hosted, effects, False)
        if not rollout.rows_to_migrate():
            log("definitions_swept", partition=hosted.number, version=rollout.version)
        return True

    # Backfills

    def read_history(self, hosted: HostedPartition) -> bool:
        """A few ms of a partition's backfill, if it has one and may go on with it."""
        return self._may_backfill(hosted) and self._backfills.read(hosted)

    def write_history(self, hosted: HostedPartition) -> bool:
        """Some rows of a partition's backfill, if it has any to write."""
        return self._may_backfill(hosted) and self._backfills.write(hosted)

    def _may_backfill(self, hosted: HostedPartition) -> bool:
        if self.wanted(hosted) is not None:
            return False
        # Its end is a switch too. Once live records wait for it, nothing else is waited for.
        return self.holds_records(hosted) or self.is_prepared(hosted, None)

    def holds_records(self, hosted: HostedPartition) -> bool:
        """Whether live records wait for the end of the partition's backfill."""
        return self._backfills.holds(hosted)

    def forget(self, number: int) -> None:
        """A partition is held no more."""
        self._backfills.forget(number)

    def sample(self, hosted: HostedPartition) -> None:
        """Tell how far a partition is; now and then."""
        self._backfills.sample(hosted)

    @property
    def invalid(self) -> int:
        """How many versions could not be used so far."""
        return 0 if self._source is None else self._source.invalid

    async def stop(self) -> None:
        """Do nothing more."""
        await self._backfills.stop()
