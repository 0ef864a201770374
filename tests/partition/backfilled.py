"""A partition whose history is read."""

from dataclasses import replace

from cdp_stream.core.model.definition import Account
from cdp_stream.core.model.windows import Window
from cdp_stream.formats.backfill_rows import (
    BACKFILL_KEY,
)
from cdp_stream.formats.rows import OWN_ROW
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.partition.processor import ProfileProcessor
from tests.core.accounts import DAY, SHORT, audience, did, has
from tests.partition.records import ROW_MEMORY, deliver, ids

HOME = replace(SHORT, lifetime_ms=30 * DAY)


RED = audience("red", has("color", "equals", "red", "short"), workspace="short")


FIVE = Window(oldest=5 * DAY)


def counted(name, minimum, event="play", window=FIVE):
    expression = did(event, workspace="short", window=window, minimum=minimum)
    return audience(name, expression, workspace="short")


TWICE = counted("twice", 2)


def version(number, *audiences, home=HOME):
    return Definitions(str(number), 0, Account("acme", (home,), audiences))


class Partition:
    """One that knows these versions; the first is in force."""

    def __init__(self, *versions):
        self.versions = versions
        self.rows = {}
        self.log = []
        self.crash()
        self.do(self.processor.rollout.switch(versions[0]))

    def crash(self):
        known = {one.version: one for one in self.versions}
        first = self.versions[0]
        self.processor = ProfileProcessor(
            first, "cdp.events", 0, MemoryBudget(100 * ROW_MEMORY), known.get
        )
        self.processor.restore(self.rows)

    def do(self, effects):
        if list(effects.rows)[-1] == BACKFILL_KEY or BACKFILL_KEY not in effects.rows:
            for key, value in effects.rows.items():
                self.rows.pop(key, None) if value is None else self.rows.update({key: value})
        else:
            deliver(self.rows, effects)
        return ids(effects)

    def live(self, *records):
        self.log += records
        return self.do(self.processor.apply(list(records)))

    @property
    def backfill(self):
        return self.processor.rollout.backfill

    def read(self, count):
        if self.backfill.state is None:
            self.do(self.backfill.begin(0, log_is_shorter=False))
        first = self.backfill.position + 1
        part = self.log[first : first + count]
        self.backfill.apply(part, first + count - 1)

    def save(self, limit=100):
        self.do(self.backfill.save(limit, 10**6))

    def complete(self):
        self.read(self.processor.position - self.backfill.position)
        self.do(self.processor.rollout.complete_backfill())
        return self.swept()

    def swept(self):
        said = []
        while self.processor.rollout.rows_to_migrate():
            said += self.do(self.processor.rollout.migrate(1))
        return said

    def own_rows(self):
        return {key for key in self.rows if key[0] == OWN_ROW}


def begun(*records):
    """Version 2, that has `twice` besides, is in force as far as it can be."""
    partition = Partition(version(1, RED), version(2, RED, TWICE))
    partition.live(*records)
    partition.do(partition.processor.rollout.switch(partition.versions[1]))
    return partition
