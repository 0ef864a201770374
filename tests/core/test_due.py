"""The due instants of a partition, in order."""

from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.due import BUCKET_MS, DueInstants


def drained(queue, until=2**63 - 1):
    """Everything due by `until`, in the order in which it is taken."""
    taken = []
    while (entry := queue.pop(until)) is not None:
        taken.append(entry)
    return taken


def test_nothing_waits_at_first():
    queue = DueInstants()
    assert queue.first() is None
    assert queue.pop(2**62) is None
    assert len(queue) == 0


def test_the_earliest_comes_first_and_of_equal_instants_the_smaller_profile():
    queue = DueInstants()
    for due, mpid in ((9 * BUCKET_MS, 1), (5, 3), (5, -2), (4, 9), (BUCKET_MS, 1)):
        queue.add(due, mpid)
    assert len(queue) == 5
    assert queue.first() == 4
    assert drained(queue, until=5) == [(4, 9), (5, -2), (5, 3)]
    assert queue.first() == BUCKET_MS
    assert len(queue) == 2
    assert drained(queue) == [(BUCKET_MS, 1), (9 * BUCKET_MS, 1)]
    assert len(queue) == 0


def test_an_instant_before_those_already_sorted_comes_before_them():
    queue = DueInstants()
    queue.add(3 * BUCKET_MS + 7, 1)
    queue.add(3 * BUCKET_MS + 9, 2)
    assert queue.pop(3 * BUCKET_MS + 7) == (3 * BUCKET_MS + 7, 1)
    queue.add(3 * BUCKET_MS + 8, 3)
    queue.add(2, 4)
    assert drained(queue) == [(2, 4), (3 * BUCKET_MS + 8, 3), (3 * BUCKET_MS + 9, 2)]


def test_asking_for_the_first_does_not_disturb_what_is_added_before_it():
    queue = DueInstants()
    queue.add(30 * BUCKET_MS, 1)
    assert queue.first() == 30 * BUCKET_MS
    queue.add(30 * BUCKET_MS + 5, 2)
    queue.add(30 * BUCKET_MS - 1, 3)
    assert queue.first() == 30 * BUCKET_MS - 1
    queue.add(31 * BUCKET_MS + 5, 4)
    queue.add(31 * BUCKET_MS + 3, 5)
    assert queue.pop(0) is None
    assert [mpid for _due, mpid in drained(queue)] == [3, 1, 2, 5, 4]


DUE = st.integers(-BUCKET_MS, 6 * BUCKET_MS) | st.sampled_from([BUCKET_MS, 2**63 - 1])


@given(steps=st.lists(st.tuples(DUE, st.integers(-3, 3)) | DUE, max_size=60))
def test_it_gives_what_a_sorted_list_would(steps):
    queue, sorted_list = DueInstants(), []
    for step in steps:
        if isinstance(step, tuple):
            queue.add(*step)
            sorted_list = sorted([*sorted_list, step])
        else:
            expected = [entry for entry in sorted_list if entry[0] <= step]
            assert drained(queue, step) == expected
            sorted_list = sorted_list[len(expected) :]
        assert len(queue) == len(sorted_list)
        assert queue.first() == (sorted_list[0][0] if sorted_list else None)
