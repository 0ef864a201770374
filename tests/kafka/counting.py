"""A processor that counts the records of each key: enough to see what was lost or doubled.


A row is ``count:last offset``. Each record gives one membership with its count, so that outputs
are a function of the input. A record's value may be ``due:INSTANT``: its key is due then, and
gives one membership ``fired:INSTANT`` as that instant is passed. A value ``bad`` is rejected.
"""

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from cdp_stream.core.model.definition import Account
from cdp_stream.core.model.row import FOREVER
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import META_ROW, Effects, Record


class CountingProcessor:
    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.time = 0
        self.position = -1
        self.rollout = CountingRollout(self)
        self._counts: dict[bytes, int] = {}
        self._due: list[tuple[int, bytes]] = []

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        for key, value in rows.items():
            if key == META_ROW:
                time, position = value.split(b":")
                self.time, self.position = int(time), int(position)
            elif not key.startswith(b"~"):
                count, *dues = value.split(b":")
                self._counts[key] = int(count)
                for due in dues:
                    heappush(self._due, (int(due), key))

    def due_waiting(self) -> int:
        return len(self._due)

    def audience_sizes(self) -> Mapping[str, int] | None:
        return {}

    def apply(self, records: Sequence[Record], latest: int = FOREVER) -> Effects:
        effects = Effects()
        for record in records:
            assert record.offset > self.position
            self.position = record.offset
            headers = dict(record.headers)
            if "time" in headers:
                self.time = max(self.time, int(headers["time"]))
                continue
            self.time = max(self.time, record.timestamp)
            key, value = record.key or b"", record.value or b""
            if value.startswith(b"bad"):
                effects.rejected.append((record.key, record.value, [("reason", b"not_json")]))
                continue
            if value.startswith(b"due:"):
                heappush(self._due, (int(value[4:]), key))
            self._counts[key] = self._counts.get(key, 0) + 1
            effects.memberships.append((key, b"%d:%s" % (self._counts[key], value[:40])))
            effects.state.append((b"count:" + key, b"%d" % self._counts[key]))
            effects.rows[key] = self._row(key)
        return self.with_meta(effects)

    def tick(self, until: int, limit: int) -> Effects:
        effects = Effects()
        fired = 0
        while self._due and self._due[0][0] <= until and fired < limit:
            due, key = heappop(self._due)
            fired += 1
            effects.memberships.append((key, b"fired:%d" % due))
            effects.rows[key] = self._row(key)
        self.time = max(self.time, until)
        effects.more = bool(self._due) and self._due[0][0] <= until
        return self.with_meta(effects)

    def mark_time(self, until: int) -> Effects:
        self.time = max(self.time, until)
        return self.with_meta(Effects())

    def next_due(self) -> int | None:
        return self._due[0][0] if self._due else None

    def _row(self, key: bytes) -> bytes:
        dues = sorted(due for due, owner in self._due if owner == key)
        return b":".join([b"%d" % self._counts.get(key, 0), *(b"%d" % due for due in dues)])

    def with_meta(self, effects: Effects) -> Effects:
        effects.rows.pop(META_ROW, None)
        effects.rows[META_ROW] = b"%d:%d" % (self.time, self.position)
        return effects


class CountingRollout:
    """Definitions take effect at once, and nothing depends on them."""

    def __init__(self, processor: CountingProcessor) -> None:
        self.version: str | None = None
        self.is_available = True
        self.missing: frozenset[str] = frozenset()
        self.backfill = None
        self._processor = processor

    def prepare(self, definitions: Definitions | None, skipped: Sequence[Account] = ()) -> None:
        return None

    def switch(self, definitions: Definitions, *, skipped: Sequence[Account] = ()) -> Effects:
        self.version = definitions.version
        return self._processor.with_meta(Effects())

    def rows_to_migrate(self) -> int:
        return 0
