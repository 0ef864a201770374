"""A store with a clock of its own, and a log to be of."""

from cdp_stream.store.rocks_rows import RocksRows
from cdp_stream.store.rows import LogIdentity

LOG = LogIdentity(cluster="c", topic="cdp.profiles-changelog", topic_id="ab12", row_version=1)
HOUR = 3_600_000


class Clock:
    """A wall clock that stands until it is set."""

    def __init__(self):
        self.now = 1_760_000_000_000

    def __call__(self):
        return self.now


def opened(directory, clock=None, log=LOG, partition=0):
    store = RocksRows(directory, clock or Clock(), memory=8 * 2**20)
    return store, store.open(partition, log)


def filled(directory, rows=2_000, clock=None):
    """A closed store whose rows are in several files, and what it held."""
    store, _ = opened(directory, clock)
    model = {b"%d" % n: b"row %d " % n * 30 for n in range(rows)}
    keys = list(model)
    for start in range(0, rows, 500):
        part = {key: model[key] for key in keys[start : start + 500]}
        store.load(0, part, start + 500)
        store.loaded(0)
    store.close()
    return model
