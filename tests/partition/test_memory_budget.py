"""Memory is a worker's, not a partition's; and decoded rows are let go by what they take."""

from cdp_stream.core.model.row import Row, memory_of
from cdp_stream.partition.memory_budget import MemoryBudget, RowCache


class Holder:
    pass


def test_a_budget_is_shared_evenly_by_those_that_are_there():
    budget = MemoryBudget(100)
    assert budget.share() == 100
    holders = [Holder() for _ in range(3)]
    for holder in holders:
        budget.join(holder)
    assert budget.share() == 33
    del holder, holders[0]
    assert budget.share() == 50
    budget.join(holders[0])
    assert budget.share() == 50


def test_a_share_is_never_empty():
    budget = MemoryBudget(1)
    kept = [Holder(), Holder()]
    for holder in kept:
        budget.join(holder)
    assert budget.share() == 1


def test_a_budget_is_full_until_as_much_is_released():
    budget = MemoryBudget(100)
    budget.reserve(99)
    assert not budget.is_full
    budget.reserve(500)
    assert budget.is_full
    budget.release(500)
    assert not budget.is_full


def of_kilobytes(mpid: int, size: int) -> Row:
    row = Row(mpid)
    row.slots["s"] = b"x" * (1024 * size)
    row.weight += 1024 * size
    return row


def kept(*sizes: int) -> RowCache:
    rows = RowCache()
    for mpid, size in enumerate(sizes):
        rows[mpid] = of_kilobytes(mpid, size)
        rows.count([rows[mpid]])
    return rows


def test_the_oldest_rows_go_by_what_they_take_and_those_that_are_needed_stay():
    rows = kept(100, 1, 50, 1, 1)
    assert 153 * 1024 < rows.used < 163 * 1024
    assert rows.evict(200 * 1024) == []
    assert rows.evict(100 * 1024, keep={0}) == [1, 2, 3, 4]
    assert list(rows) == [0]
    assert rows.evict(1) == [0]
    assert rows.used == 0


def test_a_row_that_has_grown_is_counted_anew():
    rows = kept(100, 1)
    before = rows.used
    rows[1].slots["t"] = b"x" * 50 * 1024
    rows[1].weight += 50 * 1024
    rows.count([rows[1], None])
    assert 50 * 1024 < rows.used - before < 51 * 1024
    rows.forget(1)
    assert rows.used == rows[0].counted_bytes == memory_of(rows[0])


def test_rows_that_nobody_needs_any_more_go_some_at_a_time():
    rows = kept(*[1] * 1_200)
    rows.evict_some()
    assert len(rows) == 200
    assert rows.used == sum(row.counted_bytes for row in rows.values())
