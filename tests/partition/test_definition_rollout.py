"""The table of states: every verb leads where it says, and nothing else is legal."""

from collections import defaultdict
from dataclasses import replace

import pytest

from cdp_stream.core.model.definition import Account
from cdp_stream.core.model.windows import Window
from cdp_stream.partition.definition_rollout import TRANSITIONS, State
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.processor import ProfileProcessor
from tests.core.accounts import DAY, SHORT, audience, did, has
from tests.partition.records import T, deliver, sent

HOME = replace(SHORT, lifetime_ms=30 * DAY)


def red(value="red"):
    return audience("red", has("color", "equals", value, "short"), workspace="short")


def played(name, minimum, event="play"):
    expression = did(event, workspace="short", window=Window(oldest=5 * DAY), minimum=minimum)
    return audience(name, expression, workspace="short")


def version(number, *audiences):
    return Definitions(str(number), 0, Account("acme", (HOME,), audiences))


class Partition:
    """One partition; remembers which verb led from which state to which."""

    def __init__(self, walked):
        self.walked = walked
        self.rows = {}
        self.known = {}
        self.log = []
        self.restore()

    def restore(self):
        self.processor = ProfileProcessor(version(1, red()), "events", 0, known=self.known.get)
        self.processor.restore(self.rows)
        return self

    @property
    def rollout(self):
        return self.processor.rollout

    @property
    def state(self):
        return self.rollout.state

    def walk(self, verb, *args):
        before = self.state
        result = getattr(self.rollout, verb)(*args)
        if verb != "recall":
            self.write(result)
        self.walked[before, verb].add(self.state)
        return self

    def write(self, effects):
        for key, value in effects.rows.items():
            self.rows.pop(key, None) if value is None else self.rows.update({key: value})

    def switch(self, definitions):
        self.known[definitions.version] = definitions
        return self.walk("switch", definitions)

    def migrate(self, limit=1):
        return self.walk("migrate", limit)

    def live(self, *mpids):
        first = self.processor.position + 1
        colors = {"user_attributes": {"color": "red"}}
        records = [sent(first + n, mpid, 0, "play", **colors) for n, mpid in enumerate(mpids)]
        self.log += records
        deliver(self.rows, self.processor.apply(records))
        return self

    def read(self):
        backfill = self.rollout.backfill
        if backfill.state is None:
            self.write(backfill.begin(0, log_is_shorter=False))
        backfill.apply(self.log[backfill.position + 1 :], self.processor.position)
        self.write(backfill.save(100, 10**6))
        return self

    def complete(self):
        return self.read().walk("complete_backfill")

    def end_lives(self):
        deliver(self.rows, self.processor.tick(T + 40 * DAY, 100))
        return self

    def lost(self, *versions):
        """Restored where the definitions in force cannot be had, and these can."""
        self.known = {one.version: one for one in versions}
        return self.restore()


def walks():
    """Every walk of the table, as which verb led from which state to which."""
    walked = defaultdict(set)
    new = version(2, red(), played("twice", 2))
    blue, both = version(3, red("blue")), version(4, red("blue"), played("twice", 2))
    other = version(5, red("green"), played("bought", 2, "buy"))
    renamed = version(6, replace(red(), name="Red"))

    def begun():
        return Partition(walked).migrate().switch(version(1, red())).live(7, 8, 9)

    def migrating():
        return begun().switch(blue)

    def reading():
        return begun().switch(new).read()

    def merging():
        return reading().complete()

    def clearing():
        return reading().switch(version(1, red()))

    # An ordinary change, with and without rows to migrate.
    begun().switch(renamed).migrate().switch(blue).migrate().migrate(9).migrate()
    begun().switch(blue).switch(other).read().switch(blue)
    # History is read while rows wait, before and after they are done; then it is merged.
    begun().switch(both).migrate().migrate(9).read().migrate().complete().migrate().migrate(9)
    merging().switch(blue).switch(new).migrate(99).migrate(99).migrate(99)
    # Definitions that need less, more, or nothing of what is read.
    reading().switch(both).switch(other).migrate().switch(blue).migrate(99).migrate(99)
    reading().switch(other).migrate(2).migrate(99).migrate(99).migrate(99)
    reading().live(1, 2, 3, 4, 5, 6).switch(other).migrate(2).migrate(2).migrate(2)
    begun().switch(new).switch(version(1, red()))
    clearing().switch(new), clearing().switch(other), clearing().switch(renamed)
    clearing().migrate(1).migrate(99), clearing().switch(blue).migrate(1)
    merging().migrate(99).switch(blue)
    instead = version(8, red(), played("bought", 2, "buy"))
    reading().switch(instead).migrate(99).switch(version(1, red()))
    # Profiles end: no row is left to be migrated.
    begun().switch(blue).end_lives().switch(red_alone := version(7, red("x")))
    begun().switch(blue).end_lives().switch(new)
    begun().switch(blue).end_lives().migrate(99)
    reading().end_lives().switch(red_alone).migrate(99).migrate(99)
    reading().end_lives().complete().migrate(99).migrate(99)
    merging().end_lives().switch(blue)
    reading().switch(other).end_lives().switch(red_alone)
    # Restored without the definitions in force.
    begun().switch(blue).lost().walk("recall")
    for one in (begun, migrating, reading, merging, clearing):
        for later in (blue, new, other, renamed):
            one().lost(later).switch(later)
        made = one()
        known = dict(made.known)
        made.lost()
        made.known.update(known)
        made.walk("recall")
    return walked


@pytest.fixture(scope="module")
def walked():
    return walks()


def test_every_walk_is_in_the_table(walked):
    wrong = {
        (before.name, verb, after.name)
        for (before, verb), found in walked.items()
        for after in found - TRANSITIONS[before][verb]
    }
    assert wrong == set()


def test_every_line_of_the_table_is_walked(walked):
    missed = {
        (before.name, verb, after.name)
        for before, verbs in TRANSITIONS.items()
        for verb, allowed in verbs.items()
        for after in allowed - walked[before, verb]
    }
    assert missed == set()


def test_a_verb_that_the_table_lacks_is_refused():
    partition = Partition(defaultdict(set))
    with pytest.raises(RuntimeError, match="complete_backfill is not legal while new"):
        partition.rollout.complete_backfill()
    partition.switch(version(1, red())).live(7)
    with pytest.raises(RuntimeError, match="recall is not legal while done"):
        partition.rollout.recall()
    partition.lost()
    assert partition.state is State.UNAVAILABLE
    with pytest.raises(RuntimeError, match="migrate is not legal while unavailable"):
        partition.rollout.migrate(1)
