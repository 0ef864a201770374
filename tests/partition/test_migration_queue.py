"""Keys are gathered a piece at a time while rows come and go: whoever has a row throughout is found
once, in either store.
"""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp_stream.partition import migration_queue as module
from cdp_stream.partition.migration_queue import MigrationQueue
from cdp_stream.store import rocks_partition
from cdp_stream.store.rows import MemoryRows
from tests.store.stores import opened

OWN = {b"~partition": b"x", b"~definitions": b"x", b"~backfill:7": b"x"}
MPIDS = st.integers(-30, 30)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(module, "_GATHERED_AT_ONCE", 3)
    monkeypatch.setattr(rocks_partition, "_PAGE", 4)


def in_memory(_folder):
    return MemoryRows()


def on_disk(folder):
    return opened(Path(folder))[0]


@pytest.mark.parametrize("store_of", [in_memory, on_disk])
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_who_has_a_row_throughout_is_found_once(small_pieces, store_of, data):
    before = data.draw(st.sets(MPIDS, max_size=3) | st.sets(MPIDS, min_size=15))
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(store_of(folder)) as store,
    ):
        store.load(0, {**OWN, **{b"%d" % mpid: b"row" for mpid in before}}, 1)
        rows = store.rows(0)
        queue, found, unconfirmed = MigrationQueue(), [], 0
        stayed, seen = set(before), set(before)
        queue.fill_from(rows)
        while not queue.is_done:
            found += queue.take(data.draw(st.sampled_from([5, 9, 2, 0])))
            written = {}
            for mpid in data.draw(st.sets(MPIDS, max_size=3)):
                if b"%d" % mpid in rows and data.draw(st.booleans()):
                    written[b"%d" % mpid] = None
                    stayed.discard(mpid)
                else:
                    written[b"%d" % mpid] = b"new"
                    seen.add(mpid)
            store.write(0, written)
            unconfirmed += 1
            if data.draw(st.booleans()):
                store.confirm(0, unconfirmed, -1)
                unconfirmed = 0
    assert len(found) == len(set(found))
    assert stayed <= set(found) <= seen


def test_no_more_than_a_piece_is_gathered_at_once(small_pieces):
    queue = MigrationQueue()
    queue.fill_from({b"%d" % mpid: b"" for mpid in range(10)})
    assert (len(queue), queue.is_done) == (3, False)
    assert len(queue.take(2)) == 2
    assert len(queue) == 4
    queue.fill(())
    assert (len(queue), queue.is_done, queue.take(5)) == (0, True, [])


def test_a_store_without_profiles_is_done_at_once():
    queue = MigrationQueue()
    queue.fill_from(dict(OWN))
    assert queue.is_done
