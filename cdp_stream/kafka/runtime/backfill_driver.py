"""Backfills beside live traffic: whose turn it is, and when one is through.

A partition whose definitions have slots without history has a backfill, which reads the log from as
far back as those slots reach. It is read between the slices of live records, a few ms at a time;
turns.py says when. What it writes goes the way of everything else that the partition writes, in
pieces, each with live records.

When it has come near the live position, its rows are written once more; then live records wait, for
some tens of ms, while it reads up to the last one applied, and the definitions take effect in full.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Final

from cdp_stream.formats.backfill_rows import Source
from cdp_stream.kafka.history.history_start import Wanted
from cdp_stream.kafka.history.reader import HistoryReader
from cdp_stream.kafka.log import log
from cdp_stream.kafka.runtime.backfill_progress import BackfillProgress, Reading
from cdp_stream.kafka.runtime.partition_time import latest_time
from cdp_stream.kafka.runtime.record_queue import SLICE, HostedPartition
from cdp_stream.kafka.runtime.task_context import HostingPlan
from cdp_stream.partition.backfill import Backfill
from cdp_stream.partition.effects import Effects
from cdp_stream.partition.placement import Placement
from cdp_stream.partition.sources import reaches_over_unknown, sources_of
from cdp_stream.wall_clock import wall_ms

__all__ = ["Backfills"]

SLICE_S: Final = 0.0075
"""How long live records may have to wait for a backfill, for each request of their transaction."""
BACKLOG_SLICE_S: Final = 0.02
"""The same where they wait by the slice anyway: about as long as such a slice takes."""
_RECORDS = 100
"""Read between two looks at the clock."""
_FEW_RECORDS = 10
"""The same where rows take much of their room: the last of them may pass it."""
_PIECE_ROWS = 500
_PIECE_BYTES = 256 * 1024
_NEAR = 1_000
"""So few records behind, live records may be made to wait for the rest: some 30 ms."""
_FEW_ROWS = 1_000
"""So few rows are written in the transaction that live records wait for."""
_FEW_BYTES = 8 * 1024 * 1024
"""And no more than this of memory."""
_SAVES_AT_THE_END = 2
_LONGEST_HOLD_S = 5.0
_AFTER_A_HOLD_S = 10.0
_MARGIN_MS = 3_600_000
"""Records are stamped by their producers' clocks."""


class _Part:
    """One partition's backfill at work."""

    __slots__ = ("backfill", "held_since", "not_before", "reader", "saves", "since")

    def __init__(self, backfill: Backfill, reader: HistoryReader, since: int | None) -> None:
        self.backfill = backfill
        self.reader = reader
        self.since = since
        self.saves = 0
        self.held_since: float | None = None
        self.not_before = 0.0

    def live(self, hosted: HostedPartition) -> int:
        """Up to where live records are applied, in the offsets of what is read."""
        return self.backfill.laid.live(hosted.applied)


class Backfills:
    """The backfills of the partitions that this worker holds.

    Args:
        plan: Which log, and how to reach it.
        progress: Told how far each is.
        submit: Lets the effects of a partition take effect, and whether they are a switch.
        wake: Called when there is something to do.
    """

    def __init__(
        self,
        plan: HostingPlan,
        progress: BackfillProgress,
        *,
        submit: Callable[[HostedPartition, Effects, bool], None],
        wake: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._progress = progress
        self._submit = submit
        self._wake = wake
        self._parts: dict[int, _Part] = {}
        self._audiences: dict[int, Collection[str]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._placement = Placement()

    def holds(self, hosted: HostedPartition) -> bool:
        """Whether live records wait for the partition's backfill to be through."""
        part = self._parts.get(hosted.number)
        return part is not None and part.held_since is not None

    def read(self, hosted: HostedPartition) -> bool:
        """A slice of a partition's backfill, if it has one; whether there was anything to do."""
        backfill = hosted.processor.rollout.backfill
        if backfill is None or backfill.is_complete:
            self.forget(hosted.number, keep_progress=backfill is not None)
            return False
        part = self._part(hosted, backfill)
        if backfill.state is None:
            return self._begin(hosted, part)
        worked = part.held_since is not None and self._write(hosted, part)
        worked = self._read(hosted, part) or worked
        return self._finish(hosted, part) or worked

    def write(self, hosted: HostedPartition) -> bool:
        """Some of the rows that a partition's backfill has to write, beside live records; whether
        there were any.
        """
        part, backfill = self._parts.get(hosted.number), hosted.processor.rollout.backfill
        if part is None or part.backfill is not backfill or backfill.state is None:
            return False
        return not backfill.is_complete and self._write(hosted, part)

    def sample(self, hosted: HostedPartition) -> None:
        """Tell how far a partition's backfill is; now and then."""
        backfill = hosted.processor.rollout.backfill
        if backfill is None or (state := backfill.state) is None:
            self._progress.forget(hosted.number)
            return
        if not state.epoch:
            self._audiences[hosted.number] = tuple(hosted.processor.rollout.pending)
        reading = Reading(
            audiences=self._audiences.get(hosted.number, ()),
            start=state.start,
            position=state.position,
            end=max(backfill.laid.live(hosted.applied), state.position),
            events=state.events,
            log_is_shorter=state.log_is_shorter,
            state="merging" if state.epoch else "reading",
        )
        self._progress.note(hosted.number, reading)

    def forget(self, number: int, *, keep_progress: bool = False) -> None:
        """Stop reading for a partition; what is written of its backfill stays."""
        part = self._parts.pop(number, None)
        if not keep_progress:
            self._progress.forget(number)
        if part is not None:
            task = asyncio.create_task(part.reader.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """Stop reading for good."""
        for number in list(self._parts):
            self.forget(number)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _part(self, hosted: HostedPartition, backfill: Backfill) -> _Part:
        part = self._parts.get(hosted.number)
        if part is not None and part.backfill is backfill:
            return part
        self.forget(hosted.number)
        lookback = backfill.lookback_ms
        since = None if lookback is None else hosted.processor.time - lookback - _MARGIN_MS
        wanted = Wanted(
            _sources(hosted, backfill),
            live=hosted.applied + 1,
            since=since,
            resume=None if backfill.state is None else backfill.position + 1,
        )
        reader = HistoryReader(
            self._plan.client, self._plan.events, wanted,
            wake=self._wake, room=self._plan.waiting,
        )  # fmt: skip
        part = self._parts[hosted.number] = _Part(backfill, reader, since)
        return part

    def _begin(self, hosted: HostedPartition, part: _Part) -> bool:
        backfill, start, laid = part.backfill, part.reader.start, part.reader.laid
        if not hosted.lane.has_room:
            return False
        if start is None:
            return False
        live = laid.live(hosted.applied)
        # Live records go on from behind the last one applied: nothing beyond it is read here.
        offset = min(start.offset, live + 1)
        is_elsewhere = reaches_over_unknown(backfill.moves(), part.since)
        effects = backfill.begin(
            offset,
            log_is_shorter=start.log_is_shorter or is_elsewhere,
            sources=laid.sources if laid.sources[-1].partitions else (),
        )
        self._submit(hosted, effects, False)
        log("backfill_begins", partition=hosted.number, offset=offset, sources=len(laid.sources),
            records=max(0, live + 1 - offset), slots=len(backfill.slots))  # fmt: skip
        if start.log_is_shorter:
            self._warn(hosted.number)
        if is_elsewhere:
            log("backfill_log_is_elsewhere", level=logging.WARNING, partition=hosted.number,
                reason="profiles were moved here within the lookback, by a release that did not "
                "keep where their events are in the log",
                next="nothing; or publish the events anew to another --prefix, with as many "
                "partitions")  # fmt: skip
        return True

    def _read(self, hosted: HostedPartition, part: _Part) -> bool:
        backfill, reader = part.backfill, part.reader
        start, worked = reader.start, False
        if start is not None and start.log_is_shorter and backfill.note_gap():
            self._warn(hosted.number)
        until = time.perf_counter() + (SLICE_S if hosted.count < SLICE else BACKLOG_SLICE_S)
        while not backfill.is_full and time.perf_counter() < until:
            most = _FEW_RECORDS if backfill.is_near_full else _RECORDS
            records, through, source = reader.take(most, part.live(hosted))
            if through <= backfill.position:
                break
            laid = backfill.laid
            is_here = self._placement.here(laid.sources[source], laid.sources[-1])
            events = backfill.apply(
                records, through, shift=laid.shift(source), is_here=is_here,
                latest=latest_time(self._plan.clock, wall_ms()),
            )  # fmt: skip
            self._progress.read(events)
            worked = True
        return worked

    def _write(self, hosted: HostedPartition, part: _Part) -> bool:
        is_due = part.backfill.wants_to_save or self._is_to_be_saved(hosted, part)
        return is_due and self._save(hosted, part)

    def _is_to_be_saved(self, hosted: HostedPartition, part: _Part) -> bool:
        """Whether what is written late would make live records wait."""
        behind = part.live(hosted) - part.backfill.position
        if _is_little(part.backfill):
            return False
        if part.held_since is not None:
            return behind == 0
        return behind <= _NEAR and part.saves < _SAVES_AT_THE_END

    def _save(self, hosted: HostedPartition, part: _Part) -> bool:
        if not hosted.lane.has_room:
            return False
        self._submit(hosted, part.backfill.save(_PIECE_ROWS, _PIECE_BYTES), False)
        behind = part.live(hosted) - part.backfill.position
        if not part.backfill.is_saving and behind <= _NEAR:
            part.saves += 1
        return True

    def _finish(self, hosted: HostedPartition, part: _Part) -> bool:
        """Make live records wait once little is left; put the definitions in force when nothing
        is.
        """
        backfill, now = part.backfill, time.monotonic()
        behind = part.live(hosted) - backfill.position
        if part.held_since is None:
            is_early = behind > _NEAR or now < part.not_before
            if is_early or backfill.is_saving or self._is_to_be_saved(hosted, part):
                return False
            part.held_since = now
        if behind == 0 and not backfill.is_saving and _is_little(backfill) and _is_at_rest(hosted):
            self._submit(hosted, hosted.processor.rollout.complete_backfill(), True)
            log("backfill_read", partition=hosted.number, position=backfill.position,
                events=backfill.state.events if backfill.state else 0,
                held_s=round(now - part.held_since, 3))  # fmt: skip
            self.forget(hosted.number, keep_progress=True)
            return True
        if now - part.held_since > _LONGEST_HOLD_S:
            part.held_since, part.saves = None, 0
            part.not_before = now + _AFTER_A_HOLD_S
        return False

    @staticmethod
    def _warn(number: int) -> None:
        log("backfill_log_is_shorter", level=logging.WARNING, partition=number,
            reason="the log does not reach back as far as the new criteria",
            next="nothing; or keep the log longer, and publish what is gone again")  # fmt: skip


def _is_little(backfill: Backfill) -> bool:
    """Whether what is not written yet may be in the transaction that live records wait for."""
    return backfill.unsaved_rows <= _FEW_ROWS and backfill.unsaved_bytes <= _FEW_BYTES


def _is_at_rest(hosted: HostedPartition) -> bool:
    """Whether all is delivered and nothing is due."""
    processor = hosted.processor
    due = processor.next_due()
    return hosted.lane.is_idle and hosted.fire_to is None and (due is None or due > processor.time)


def _sources(hosted: HostedPartition, backfill: Backfill) -> tuple[Source, ...]:
    """What is to be read; of one that is under way what it reads."""
    if backfill.state is None:
        return sources_of(backfill.moves(), hosted.number)
    return backfill.state.sources or (Source(hosted.number, 0),)
