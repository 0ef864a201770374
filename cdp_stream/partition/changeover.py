"""One partition's definitions: put in force at a point between two calls, and its rows brought
under them, as they are loaded (profiles.py) or, the rest, by `sweep`, a slice at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from cdp_stream.core.definition import Account
from cdp_stream.core.plan import InForce
from cdp_stream.core.row import FOREVER
from cdp_stream.core.telling import Emission
from cdp_stream.core.transition import Wired, ended_connections
from cdp_stream.formats.definitions_row import DEFINITIONS_KEY, encode_definitions
from cdp_stream.formats.rows import decode_row, encode_row, is_same_but_epoch
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import SLICE_BYTES, Effects
from cdp_stream.partition.epochs import Epochs, forgetting
from cdp_stream.partition.histories import Histories
from cdp_stream.partition.profiles import Profiles
from cdp_stream.partition.sizes import AudienceSizes
from cdp_stream.partition.telling import Telling
from cdp_stream.partition.unswept import Unswept

__all__ = ["Changeover"]


class Changeover:
    """Changes the definitions of one partition.

    Args:
        epochs: what is in force.
        histories: what is read for criteria that are new.
        profiles: the rows.
        sizes: told which audiences there are.
        telling: tells what changes.
    """

    def __init__(
        self,
        epochs: Epochs,
        histories: Histories,
        profiles: Profiles,
        sizes: AudienceSizes,
        telling: Telling,
    ) -> None:
        self._epochs = epochs
        self._histories = histories
        self._profiles = profiles
        self._sizes = sizes
        self._telling = telling
        self._unswept = Unswept()

    def restore(self, mpids: Collection[int]) -> None:
        """Go on from what the partition's rows say.

        Args:
            mpids: whose rows there are.
        """
        self.settle_histories()
        self._unswept.go_on(mpids if self._epochs.is_sweeping else ())

    def recall(self) -> None:
        """The definitions in force, which were not to be had at `restore`, now are."""
        self.settle_histories()
        self._sizes.include(self._epochs.counted)
        if self._epochs.is_sweeping:
            self._unswept.begin(self._profiles.store)

    def to_prepare(
        self, definitions: Definitions | None, skipped: Sequence[Account]
    ) -> Callable[[], object] | None:
        """What would make `switch` (None: `complete_backfill`) quick; None when nothing is left."""
        epochs, complete = self._epochs, frozenset[str]()
        before = epochs.state
        if before is None:
            return None
        if definitions is None:
            backfill = self._histories.current
            if backfill is None or backfill.is_complete:
                return None
            # No connection ends by it: the account is the one in force.
            wanted, complete = epochs.definitions, backfill.slots
        else:
            wanted = definitions
            ended = ended_connections(before.catalog, [*skipped, wanted.account])
            before = forgetting(before, {wired.id for wired, _audience in ended})
        if epochs.prepared(wanted, complete, before) is not None:
            return None
        return lambda: epochs.prepare(wanted, complete, before)

    def switch(
        self,
        definitions: Definitions,
        complete: frozenset[str],
        time: int,
        skipped: Sequence[Account] = (),
    ) -> Effects:
        """Put definitions in force; the effects lack the end of the write."""
        epochs = self._epochs
        before = epochs.state
        ended: list[tuple[Wired, InForce]] = []
        if before is not None:
            ended = ended_connections(before.catalog, [*skipped, definitions.account])
            epochs.forget_connections({wired.id for wired, _audience in ended})
        epochs.switch(definitions, complete, time)
        self._profiles.outdate()
        self._unswept.clear()
        if epochs.is_sweeping:
            self._unswept.begin(self._profiles.store)
            self._sizes.include(epochs.counted)
            if self._unswept.is_done:
                epochs.finish()
        if not epochs.is_sweeping:
            self._sizes.include(epochs.counted)
            self._sizes.keep(epochs.counted)
        self.settle_histories()
        self._telling.speak_for(epochs.engine.plan)
        effects = Effects()
        if before is not None:
            assert epochs.state is not None
            self._telling.connections(before.catalog, epochs.state, ended, effects)
        self._write_definitions(effects)
        return effects

    def complete_backfill(self, time: int) -> Effects:
        """Put the definitions in force as far as what was read lets them, which is written too."""
        backfill = self._histories.current
        assert backfill is not None
        rows = backfill.complete(self._epochs.epoch + 1).rows
        effects = self.switch(self._epochs.definitions, backfill.slots, time)
        effects.rows = {**rows, **effects.rows}
        return effects

    # Bringing rows under them

    def rows_to_sweep(self) -> int:
        """How many rows are known to wait; at least 1 while `sweep` has anything to do, or will
        have once definitions are in force that can be had.
        """
        epochs, histories = self._epochs, self._histories
        if not epochs.is_known:
            return 1
        waits = bool(epochs.missing) and histories.current is None
        if epochs.is_sweeping or histories.has_leftovers or waits:
            return max(1, len(self._unswept))
        return 0

    def sweep(self, limit: int) -> Effects:
        """Migrate the rows among the next `limit` that are of earlier definitions; fewer once they
        and their messages take `SLICE_BYTES`.
        """
        effects = Effects()
        changes = Emission()
        size = sent = 0
        epochs, profiles = self._epochs, self._profiles
        decoded, store = profiles.decoded, profiles.store
        profiles.let_go_outdated()
        waiting = self._unswept.take(limit)[::-1]
        while waiting and size < SLICE_BYTES:
            mpid = waiting.pop()
            key = b"%d" % mpid
            # A row that is decoded was loaded since, and so migrated.
            value = None if mpid in decoded else store.get(key)
            if value is None or not epochs.is_behind(value):
                continue
            row = decode_row(mpid, value)
            due = row.due
            epochs.migrate(row, changes, self._histories)
            encoded = encode_row(row)
            made = len(changes) + len(changes.told)
            size, sent = size + (1 + made - sent) * len(encoded), made
            # Once all are swept a row counts as of the newest epoch: what is as it was stays.
            if not is_same_but_epoch(encoded, value):
                effects.rows[key] = encoded
                if row.due != due and row.due < FOREVER:
                    profiles.due.add(row.due, mpid)
        self._unswept.put_back(waiting)
        self._telling.changes(changes, effects)
        if self._unswept.is_done and epochs.is_sweeping:
            # What was taken last is removed behind the rows that have it now.
            effects.rows.update(self._histories.taken())
            epochs.finish()
            self._sizes.keep(epochs.counted)
            self._write_definitions(effects)
            self.settle_histories()
        elif self._histories.has_leftovers:
            effects.rows.update(self._histories.remove(limit))
        elif epochs.missing and self._histories.current is None:
            self.settle_histories()
        return effects

    def settle_histories(self) -> None:
        """Find out what history there is to be read."""
        epochs = self._epochs
        if epochs.is_known:
            self._histories.settle(
                epochs.definitions, epochs.missing, is_sweeping=epochs.is_sweeping
            )

    def _write_definitions(self, effects: Effects) -> None:
        state = self._epochs.state
        assert state is not None
        effects.rows[DEFINITIONS_KEY] = encode_definitions(state)
