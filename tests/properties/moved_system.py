"""The partitions of one input, of which there become more, and which then read their history."""

from __future__ import annotations

from random import Random
from typing import Final

from cdp_stream.formats.moved_row import MOVED_KEY, encode_moves
from cdp_stream.formats.rows import (
    OWN_ROW,
    PARTITION_KEY,
    PartitionState,
    as_moved,
    encode_partition,
)
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.placement import Placement, hash_of
from cdp_stream.partition.relocation import (
    SETTLE,
    Marker,
    check_ready,
    moves_after,
    own_rows,
    time_of_all,
)
from cdp_stream.partition.sources import sources_of
from tests.properties.partitions import Partition, Rows, Sent

HALF: Final = 0.5
Logs = list[list[Sent]]
PLACEMENT = Placement()


class Placed(Partition):
    """One partition of several, which reads its history in all of their logs."""

    number = 0

    def read_on(self, chance: Random, logs: Logs) -> None:
        """Something of what is to be done because definitions changed."""
        processor = self.processor
        backfill = processor.rollout.backfill
        if processor.rollout.rows_to_migrate() and (backfill is None or chance.random() < HALF):
            self.write(processor.rollout.migrate(chance.randint(1, 3)))
            return
        if backfill is None or backfill.is_complete:
            return
        if backfill.state is None:
            sources = sources_of(backfill.moves(), self.number)
            self.write(backfill.begin(0, log_is_shorter=False, sources=sources))
            return
        live = backfill.history.live(processor.position)
        first = backfill.position + 1
        if first <= live and not backfill.wants_to_save and chance.random() < HALF:
            history = backfill.history
            index = history.index(first)
            source, shift = history.sources[index], history.shift(index)
            end = min(live + 1, first + chance.randint(1, 5))
            if index + 1 < len(history.sources):
                end = min(end, history.begin(index + 1))
            records = logs[source.partition][first - shift : end - shift]
            is_here = PLACEMENT.here(source, history.sources[-1])
            backfill.apply(records, end - 1, shift=shift, is_here=is_here)
        elif first > live and chance.random() < HALF:
            self.write(processor.rollout.complete_backfill())
        elif backfill.wants_to_save or backfill.unsaved_rows:
            self.write(backfill.save(chance.randint(1, 3), 10_000))


class System:
    """The partitions of one input, and their logs."""

    def __init__(self, *versions: Definitions, partitions: int, rows_kept: int) -> None:
        self.versions = versions
        self.rows_kept = rows_kept
        self.announced: dict[str, set[str]] = {}
        self.logs: Logs = [[] for _ in range(partitions)]
        self.parts = [self.part(number, {}) for number in range(partitions)]

    def part(self, number: int, rows: Rows) -> Placed:
        made = Placed(*self.versions, rows_kept=self.rows_kept)
        made.number, made.announced = number, self.announced
        if rows:
            made.rows = rows
            made.crash()
            made.fire()
        return made

    def append(self, record: Sent, partitions: int) -> Sent:
        """Publish by a number of partitions."""
        log = self.logs[hash_of(record.key) % partitions]
        log.append(record._replace(offset=len(log)))
        return log[-1]

    def live(self, record: Sent) -> None:
        count = len(self.parts)
        self.parts[hash_of(record.key) % count].live(self.append(record, count))

    def move(self, to: int, late: list[Sent]) -> None:
        """More partitions, as `cdp repartition` gives them; some is published meanwhile."""
        before = len(self.parts)
        own = {
            part.number: {k: v for k, v in part.rows.items() if k[0] == OWN_ROW}
            for part in self.parts
        }
        check_ready(own)
        ends = [len(log) for log in self.logs]
        marker = Marker(before, to, SETTLE, time_of_all(own), tuple(ends))
        made: dict[int, Rows] = own_rows(own, marker)
        rows: list[Rows] = [dict(own.get(n, {})) | made[n] for n in range(to)]
        for part in self.parts:
            for key, value in part.rows.items():
                if key[0] != OWN_ROW:
                    place = hash_of(key) % to
                    rows[place][key] = value if place == part.number else as_moved(value)
        self.logs += [[] for _ in range(before, to)]
        for record in late:
            self.append(record, before)
        starts = self.forward(ends, rows, marker)
        moves = encode_moves(moves_after(own, marker._replace(starts=tuple(starts))))
        for number in range(to):
            rows[number][MOVED_KEY] = moves
        self.parts = [self.part(number, rows[number]) for number in range(to)]
        for number, part in enumerate(self.parts):
            start = starts[number] if number < before else 0
            for record in self.logs[number][start:]:
                part.live(record)

    def forward(self, ends: list[int], rows: list[Rows], marker: Marker) -> list[int]:
        starts = list(ends)
        waiting = [log[end:] for log, end in zip(self.logs, ends, strict=False)]
        for number, records in enumerate(waiting):
            if all(hash_of(record.key) % marker.after == number for record in records):
                continue
            for record in records:
                self.append(record, marker.after)
            starts[number] = records[-1].offset + 1
            state = PartitionState(marker.time, starts[number] - 1)
            rows[number][PARTITION_KEY] = encode_partition(state)
        return starts

    def switch(self, definitions: Definitions) -> None:
        for part in self.parts:
            part.write(part.processor.rollout.switch(definitions))

    def pass_time(self) -> int:
        end = max(0, *(part.processor.time for part in self.parts))
        for part in self.parts:
            part.write(part.processor.mark_time(end))
            part.fire()
        return end

    @property
    def is_settled(self) -> bool:
        return all(part.is_settled for part in self.parts)

    @property
    def rows(self) -> Rows:
        return {key: value for part in self.parts for key, value in part.rows.items()}


def catch_up(chance: Random, found: System, whole: System, rest: list[Sent]) -> None:
    """Read history beside the rest of the records, with some crashes."""
    crashes = 10
    while rest or not found.is_settled:
        what = chance.choice(["live", *["work"] * 20, "crash"])
        part = chance.choice(found.parts)
        if what == "live" and rest:
            record = rest.pop(0)
            whole.live(record)
            found.live(record)
        elif what == "crash" and crashes:
            crashes -= 1
            part.crash()
        else:
            waiting = [one for one in found.parts if not one.is_settled] or [part]
            waiting[0].read_on(chance, found.logs)
