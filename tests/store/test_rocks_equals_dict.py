"""Whatever is written, confirmed, reopened or copied in mid-life: the rows are those of a dict at
the position that the store tells.
"""

import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.store.stores import LOG, opened

keys = st.sampled_from([b"", b"1", b"2", b"77", b"~partition", b"\x00x", b"\xff\xff"])
batches = st.dictionaries(keys, st.one_of(st.none(), st.binary(max_size=40)), max_size=5)


class RocksEqualsDict(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="rocks-"))
        self.copies = 0
        self.store, _ = opened(self.folder / "store")
        self.log = [{}]  # the rows after so many records of the changelog
        self.pending = []

    def visible(self):
        rows = dict(self.log[-1])
        for batch in self.pending:
            apply(rows, batch)
        return rows

    def append(self, batch):
        rows = dict(self.log[-1])
        apply(rows, batch)
        self.log.append(rows)

    @rule(batch=batches)
    def load(self, batch):
        if not self.pending:
            self.append(batch)
            self.store.load(0, batch, len(self.log) - 1)

    @rule(batch=batches)
    def write(self, batch):
        self.store.write(0, batch)
        self.pending.append(batch)

    @rule(data=st.data())
    def confirm(self, data):
        if self.pending:
            count = data.draw(st.integers(1, len(self.pending)))
            for batch in self.pending[:count]:
                self.append(batch)
            del self.pending[:count]
            self.store.confirm(0, count, len(self.log) - 1)

    @rule()
    def flush(self):
        self.store.loaded(0)

    @rule()
    def reopen(self):
        self.store.close()
        self.pending.clear()
        self.store, found = opened(self.folder / "store")
        assert (found.position, found.discarded) == (len(self.log) - 1, "")

    @rule()
    def take_partition_again(self):
        self.store.let_go(0)
        self.pending.clear()
        assert self.store.open(0, LOG).position == len(self.log) - 1

    @rule()
    def crash_in_a_copy(self):
        self.copies += 1
        copy = self.folder / f"copy-{self.copies}"
        whole = True
        try:
            shutil.copytree(self.folder / "store", copy)
        except shutil.Error:
            whole = False  # a compaction took files away meanwhile; all others are copied
        store, found = opened(copy)
        assert found.discarded == "" or not whole
        assert dict(store.rows(0).items()) == self.log[found.position]
        store.close()

    @invariant()
    def equals(self):
        rows, expected = self.store.rows(0), self.visible()
        assert dict(rows.items()) == expected
        for key in (b"", b"1", b"2", b"77", b"\x00x", b"gone"):
            assert rows.get(key) == expected.get(key)

    def teardown(self):
        self.store.close()
        shutil.rmtree(self.folder)


def apply(rows, batch):
    for key, value in batch.items():
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value


RocksEqualsDict.TestCase.settings = settings(
    max_examples=min(30, settings().max_examples), stateful_step_count=20, deadline=None
)
TestRocksEqualsDict = RocksEqualsDict.TestCase


def test_a_mapping_has_its_length_keys_and_refusals(tmp_path):
    store, _ = opened(tmp_path)
    store.load(0, {b"1": b"a", b"2": b"b"}, 2)
    store.write(0, {b"2": None, b"3": b""})
    rows = store.rows(0)
    assert (len(rows), set(rows), rows[b"3"]) == (2, {b"1", b"3"}, b"")
    assert b"2" not in rows
    store.close()


@given(position=st.integers(0, 10))
@settings(max_examples=10)
def test_a_position_that_is_not_known_or_lies_behind_moves_nothing_back(position):
    with tempfile.TemporaryDirectory() as folder:
        store, _ = opened(Path(folder))
        store.load(0, {b"1": b"a"}, 10)
        store.write(0, {b"1": b"b"})
        store.confirm(0, 1, position - 1)
        store.close()
        store, found = opened(Path(folder))
        assert (found.position, store.rows(0)[b"1"]) == (10, b"b")
        store.close()
