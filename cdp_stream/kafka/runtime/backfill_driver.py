"""When one partition's backfill reads, writes and ends, beside its live records.

A partition whose definitions have slots without history has a backfill, which reads the log from as
far back as those slots reach. It reads between slices of live records, a few ms at a time
(``scheduler.py``). Its rows are written in pieces, like everything else that the partition writes.

Near the live position, the backfill writes its rows once more. Then live records wait for some tens
of ms, while it reads up to the last record applied, and the definitions take effect in full.
"""

import asyncio
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from cdp_stream.formats.backfill_rows import Source
from cdp_stream.kafka.history.reader import HistoryRange, HistoryReader
from cdp_stream.kafka.runtime.partition_time import latest_time
from cdp_stream.kafka.runtime.task_context import TaskContext
from cdp_stream.observability.backfill_progress import Reading
from cdp_stream.observability.log import log
from cdp_stream.partition.backfill import Backfill
from cdp_stream.partition.effects import Effects
from cdp_stream.partition.processor import ProfileProcessor
from cdp_stream.partition.sources import reaches_over_unknown, sources_of
from cdp_stream.wall_clock import wall_ms

__all__ = ["BackfillDriver"]

SLICE_S: Final = 0.0075
"""How long a backfill may delay live records, for each request of their transaction."""
BACKLOG_SLICE_S: Final = 0.02
"""The same while whole slices of live records wait: about the time of one such slice."""
_RECORDS = 100
"""Records read between two checks of the clock."""
_FEW_RECORDS = 10
"""The same while rows use much of their memory: the last record may exceed the limit."""
_PIECE_ROWS = 500
_PIECE_BYTES = 256 * 1024
_NEAR = 1_000
"""With at most so many records left, live records may wait for the rest: some 30 ms."""
_FEW_ROWS = 1_000
"""At most so many rows are written in the transaction that live records wait for."""
_FEW_BYTES = 8 * 1024 * 1024
"""And at most so many bytes of them."""
_SAVES_AT_THE_END = 2
_LONGEST_PAUSE_S = 5.0
_AFTER_A_PAUSE_S = 10.0
_MARGIN_MS = 3_600_000
"""Records are stamped by their producers' clocks."""


@dataclass(slots=True)
class _Run:
    """One backfill from its first record to its last.

    Attributes:
        backfill: Reads the records.
        reader: Fetches them.
        since: No older record is needed, epoch ms; ``None``: all are.
        saves: How often its rows were written near the live position.
        paused_since: Since when live records wait, by the steady clock; ``None``: they do not.
        not_before: Live records do not wait again before this, by the steady clock.
    """

    backfill: Backfill
    reader: HistoryReader
    since: int | None
    saves: int = 0
    paused_since: float | None = None
    not_before: float = 0.0

    def behind(self, position: int) -> int:
        """How many records are left up to the newest live one."""
        return self.backfill.history.live(position) - self.backfill.position

    def must_save(self, position: int) -> bool:
        """Whether to write rows now, because live records would wait if they were written later."""
        if self.is_little:
            return False
        behind = self.behind(position)
        if self.paused_since is not None:
            return behind == 0
        return behind <= _NEAR and self.saves < _SAVES_AT_THE_END

    @property
    def is_little(self) -> bool:
        """Whether the unwritten rows may be in the transaction that live records wait for."""
        backfill = self.backfill
        return backfill.unsaved_rows <= _FEW_ROWS and backfill.unsaved_bytes <= _FEW_BYTES


class BackfillDriver:
    """The backfills of one partition, one after the other.

    The caller writes the effects that it returns. Positions are offsets of the last live
    record that was applied.

    Args:
        number: The partition's number.
        processor: The partition's.
        context: What all tasks of the worker share.
    """

    def __init__(self, number: int, processor: ProfileProcessor, context: TaskContext) -> None:
        self._number = number
        self._processor = processor
        self._context = context
        self._run: _Run | None = None
        self._audiences: Collection[str] = ()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def pauses_records(self) -> bool:
        """Whether live records wait for the end of the backfill."""
        return self._run is not None and self._run.paused_since is not None

    @property
    def writes_alone(self) -> bool:
        """Whether its rows are written as soon as they exist, and not beside live rows."""
        return self._run is not None and (
            self._run.paused_since is not None or self._run.backfill.state is None
        )

    def open(self) -> bool:
        """Start to fetch for the partition's backfill, if there is one."""
        backfill = self._processor.rollout.backfill
        if self._run is not None and self._run.backfill is not backfill:
            self._drop_run()
        if backfill is None or backfill.is_complete:
            self._drop_run()
            return False
        if self._run is None:
            self._run = self._new_run(backfill)
        return True

    def next_rows(self, position: int) -> Effects | None:
        """The next rows to write; ``None`` where there are none now."""
        run, backfill = self._run, self._processor.rollout.backfill
        if run is None or backfill is not run.backfill or backfill.is_complete:
            return None
        if backfill.state is None:
            return self._begin(run, position)
        if not (backfill.wants_to_save or run.must_save(position)):
            return None
        effects = backfill.save(_PIECE_ROWS, _PIECE_BYTES)
        if not backfill.is_saving and run.behind(position) <= _NEAR:
            run.saves += 1
        return effects

    def read(self, position: int, *, is_behind: bool) -> bool:
        """Read for a few ms; returns whether there was anything to read.

        Args:
            position: Nothing beyond it is read.
            is_behind: Whether whole slices of live records wait.
        """
        run, context = self._run, self._context
        if run is None or run.backfill.state is None:
            return False
        backfill, reader = run.backfill, run.reader
        start, worked = reader.start, False
        if start is not None and start.log_is_shorter and backfill.note_gap():
            self._warn()
        until = time.perf_counter() + (BACKLOG_SLICE_S if is_behind else SLICE_S)
        while not backfill.is_full and time.perf_counter() < until:
            most = _FEW_RECORDS if backfill.is_near_full else _RECORDS
            records, through, source = reader.next_slice(most, backfill.history.live(position))
            if through <= backfill.position:
                break
            history = backfill.history
            is_here = context.placement.here(history.sources[source], history.sources[-1])
            events = backfill.apply(
                records, through, shift=history.shift(source), is_here=is_here,
                latest=latest_time(context.settings.clock, wall_ms()),
            )  # fmt: skip
            context.metrics.backfill.read(events)
            worked = True
        return worked

    def finish(self, position: int, *, is_at_rest: bool) -> Effects | None:
        """Pause live records once little is left; once nothing is left, return the switch that puts
        the definitions in force in full.

        Args:
            position: The last offset to read.
            is_at_rest: Whether nothing of the partition is in flight, and nothing due.
        """
        run, now = self._run, self._context.now()
        if run is None or run.backfill.state is None:
            return None
        backfill, behind = run.backfill, run.behind(position)
        if run.paused_since is None:
            is_early = behind > _NEAR or now < run.not_before
            if is_early or backfill.is_saving or run.must_save(position):
                return None
            run.paused_since = now
        if behind == 0 and not backfill.is_saving and run.is_little and is_at_rest:
            effects = self._processor.rollout.complete_backfill()
            log("backfill_history_read", partition=self._number, position=backfill.position,
                events=backfill.state.events if backfill.state else 0,
                held_s=round(now - run.paused_since, 3))  # fmt: skip
            self._drop_run()
            return effects
        if now - run.paused_since > _LONGEST_PAUSE_S:
            run.paused_since, run.saves = None, 0
            run.not_before = now + _AFTER_A_PAUSE_S
        return None

    def sample(self, position: int) -> None:
        """Note how far the backfill is, for metrics and the log."""
        backfill, progress = self._processor.rollout.backfill, self._context.metrics.backfill
        if backfill is None or (state := backfill.state) is None:
            progress.forget(self._number)
            return
        if not state.epoch:
            self._audiences = tuple(self._processor.rollout.pending)
        progress.note(
            self._number,
            Reading(
                audiences=self._audiences,
                start=state.start,
                position=state.position,
                end=max(backfill.history.live(position), state.position),
                events=state.events,
                log_is_shorter=state.log_is_shorter,
                state="merging" if state.epoch else "reading",
            ),
        )

    async def close(self) -> None:
        """Stop reading; the rows that the backfill has written stay."""
        self._drop_run()
        self._context.metrics.backfill.forget(self._number)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _new_run(self, backfill: Backfill) -> _Run:
        processor, lookback = self._processor, backfill.lookback_ms
        since = None if lookback is None else processor.time - lookback - _MARGIN_MS
        wanted = HistoryRange(
            self._sources(backfill),
            live=processor.position + 1,
            since=since,
            resume=None if backfill.state is None else backfill.position + 1,
        )
        return _Run(backfill, self._context.history_reader(wanted), since)

    def _sources(self, backfill: Backfill) -> tuple[Source, ...]:
        """The sources to read; for a backfill that has begun, those that it reads already."""
        if backfill.state is None:
            return sources_of(backfill.moves(), self._number)
        return backfill.state.sources or (Source(self._number, 0),)

    def _drop_run(self) -> None:
        if self._run is not None:
            task = asyncio.create_task(self._run.reader.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._run = None

    def _begin(self, run: _Run, position: int) -> Effects | None:
        backfill, start, history = run.backfill, run.reader.start, run.reader.history
        if start is None:
            return None
        live = history.live(position)
        # Live records continue after the last one applied: the backfill reads nothing beyond it.
        offset = min(start.offset, live + 1)
        is_elsewhere = reaches_over_unknown(backfill.moves(), run.since)
        effects = backfill.begin(
            offset,
            log_is_shorter=start.log_is_shorter or is_elsewhere,
            sources=history.sources if history.sources[-1].partitions else (),
        )
        log("backfill_started", partition=self._number, offset=offset, sources=len(history.sources),
            records=max(0, live + 1 - offset), slots=len(backfill.slots))  # fmt: skip
        if start.log_is_shorter:
            self._warn()
        if is_elsewhere:
            log("backfill_log_place_unknown", level=logging.WARNING, partition=self._number,
                reason="profiles were moved here within the lookback, by a release that did not "
                "keep where their events are in the log",
                next="nothing; or publish the events again to another --prefix, with as many "
                "partitions")  # fmt: skip
        return effects

    def _warn(self) -> None:
        log("backfill_log_too_short", level=logging.WARNING, partition=self._number,
            reason="the log does not reach back as far as the new criteria",
            next="nothing; or keep the log longer, and publish the lost events again")  # fmt: skip
