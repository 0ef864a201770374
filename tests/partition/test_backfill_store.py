"""What is left of a backfill is removed a little at a time."""

from array import array

import pytest

from cdp_stream.core.model.definition import Account
from cdp_stream.formats.backfill_rows import BACKFILL_KEY, backfill_key
from cdp_stream.partition.backfill_store import BackfillStore
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.memory_budget import MemoryBudget

ALL = range(25)


@pytest.mark.parametrize("left", [ALL, (3, 14), ()], ids=["all", "some", "none"])
def test_so_many_rows_are_examined_whether_they_were_merged_or_not(left):
    store = {backfill_key(mpid): b"" for mpid in left}
    backfills = BackfillStore(MemoryBudget())
    backfills.restore(store, array("q", ALL))
    backfills.select(Definitions("1", 0, Account("acme", (), ())), (), is_migrating=False)
    pieces = []
    while backfills.has_unused_rows and len(pieces) < len(ALL):
        pieces.append(backfills.remove_unused(10))
        for key in pieces[-1].keys() & store.keys():
            del store[key]
    assert [BACKFILL_KEY in piece for piece in pieces] == [False, False, True]
    removed = {key for piece in pieces for key in piece}
    assert removed == {BACKFILL_KEY, *map(backfill_key, left)}
