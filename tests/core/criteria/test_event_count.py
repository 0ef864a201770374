"""Counting: one time, the newest times, every time; and how little of it is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.criteria.event_count import (
    AtLeastOnce,
    NewestTimes,
    TimesAgo,
    event_count,
)
from cdp_stream.core.model.row import FOREVER, Row
from cdp_stream.core.model.windows import Window

LAST_TEN = Window(oldest=10)
AGO = Window(oldest=10, newest=4)


def recorded(leaf, *pairs):
    """A row, and what each `record(time, at)` answered."""
    row = Row(1)
    return row, [leaf.record(row, time, at) for time, at in pairs]


def test_the_cheapest_way_to_count_is_chosen():
    assert type(event_count("s", "w", LAST_TEN, 1, None)) is AtLeastOnce
    assert type(event_count("s", "w", Window(oldest=10, newest=0), 1, None)) is AtLeastOnce
    assert type(event_count("s", "w", LAST_TEN, 2, None)) is NewestTimes
    assert type(event_count("s", "w", LAST_TEN, 0, 3)) is NewestTimes
    assert type(event_count("s", "w", AGO, 1, None)) is TimesAgo


def test_with_one_time_the_first_event_flips_it_until_it_leaves_the_window():
    leaf = AtLeastOnce("s", "w", LAST_TEN)
    row, flips = recorded(leaf, (100, 100))
    assert flips == [True]
    assert row.slots == {"s": 100}
    assert row.due == 111
    assert leaf.holds(row, 110)
    assert not leaf.holds(row, 111)
    assert leaf.next_due(row, 110) == 111
    assert leaf.next_due(row, 111) == FOREVER


def test_with_one_time_only_the_newest_time_is_kept_and_the_due_instant_stays_early():
    row, flips = recorded(AtLeastOnce("s", "w", LAST_TEN), (100, 100), (105, 105), (103, 105))
    assert flips == [True, False, False]
    assert row.slots == {"s": 105}
    assert row.due == 111


def test_with_one_time_a_late_event_counts_while_it_is_in_the_window():
    leaf = AtLeastOnce("s", "w", LAST_TEN)
    row, flips = recorded(leaf, (89, 100), (90, 100))
    assert flips == [False, True]
    assert row.due == 101


def test_with_one_time_it_flips_again_after_it_lapsed():
    row, flips = recorded(AtLeastOnce("s", "w", LAST_TEN), (100, 100), (120, 120))
    assert flips == [True, True]
    assert row.slots == {"s": 120}


@pytest.mark.parametrize(("time", "flips"), [(99, False), (100, True), (199, True), (200, False)])
def test_with_one_time_a_calendar_window_ends_before_its_last_instant(time, flips):
    leaf = AtLeastOnce("s", "w", Window(start=100, end=200))
    assert recorded(leaf, (time, 300))[1] == [flips]


def test_with_one_time_an_event_after_a_calendar_window_does_not_replace_one_in_it():
    leaf = AtLeastOnce("s", "w", Window(end=200))
    row, flips = recorded(leaf, (150, 150), (200, 200))
    assert flips == [True, False]
    assert row.slots == {"s": 150}


def test_with_one_time_without_a_bound_it_holds_for_ever():
    leaf = AtLeastOnce("s", "w", Window())
    row, flips = recorded(leaf, (100, 100))
    assert flips == [True]
    assert row.due == FOREVER
    assert leaf.holds(row, 10**15)
    assert leaf.next_due(row, 100) == FOREVER


def test_with_one_time_nothing_recorded_is_nothing_due():
    assert AtLeastOnce("s", "w", LAST_TEN).next_due(Row(1), 0) == FOREVER


def test_with_one_time_pruning_drops_what_never_counts_again():
    leaf = AtLeastOnce("s", "w", LAST_TEN)
    row, _ = recorded(leaf, (100, 100))
    leaf.prune(row, 110)
    assert row.slots == {"s": 100}
    leaf.prune(row, 111)
    assert row.slots == {}


def test_with_newest_times_at_least_three_keeps_three():
    leaf = NewestTimes("s", "w", LAST_TEN, 3, None)
    row, flips = recorded(leaf, (1, 1), (2, 2), (3, 3), (4, 4), (2, 4))
    assert flips == [False, False, True, False, False]
    assert row.slots == {"s": [2, 3, 4]}
    assert row.due == 12
    assert leaf.next_due(row, 12) == 13


def test_with_newest_times_a_late_event_older_than_those_kept_decides_nothing():
    row, flips = recorded(NewestTimes("s", "w", LAST_TEN, 2, None), (5, 5), (6, 6), (4, 6))
    assert flips == [False, True, False]
    assert row.slots == {"s": [5, 6]}


def test_with_newest_times_ties_are_counted_each():
    row, flips = recorded(NewestTimes("s", "w", LAST_TEN, 2, None), (5, 5), (5, 5), (5, 5))
    assert flips == [False, True, False]
    assert row.slots == {"s": [5, 5]}


def test_with_newest_times_at_most_one_holds_before_anything_happened():
    leaf = NewestTimes("s", "w", LAST_TEN, 0, 1)
    assert leaf.holds(Row(1), 0)
    row, flips = recorded(leaf, (5, 5), (7, 7), (8, 8))
    assert flips == [False, True, False]
    assert row.slots == {"s": [7, 8]}
    assert leaf.next_due(row, 8) == 18
    assert not leaf.holds(row, 17)
    assert leaf.holds(row, 18)


def test_with_newest_times_equals_two_comes_and_goes_and_comes_back():
    leaf = NewestTimes("s", "w", LAST_TEN, 2, 2)
    row, flips = recorded(leaf, (1, 1), (3, 3), (5, 5))
    assert flips == [False, True, True]
    assert row.due == 12
    assert leaf.next_due(row, 5) == 12
    assert leaf.next_due(row, 12) == 14
    assert leaf.next_due(row, 14) == FOREVER
    assert [leaf.holds(row, at) for at in (11, 12, 13, 14)] == [False, True, True, False]


def test_with_newest_times_a_count_goes_above_before_it_would_have_gone_below():
    leaf = NewestTimes("s", "w", LAST_TEN, 2, 4)
    row, flips = recorded(leaf, (1, 1), (2, 2), (3, 3), (4, 4), (5, 5))
    assert flips == [False, True, False, False, True]
    assert row.due == 12
    assert leaf.next_due(row, 5) == 12


def test_with_newest_times_times_out_of_the_window_make_room_before_they_are_counted():
    row, flips = recorded(NewestTimes("s", "w", LAST_TEN, 2, None), (1, 1), (2, 2), (13, 13))
    assert flips == [False, True, False]
    assert row.slots == {"s": [13]}


@pytest.mark.parametrize("time", [89, 200, 99])
def test_with_newest_times_a_time_outside_the_window_is_not_kept(time):
    leaf = NewestTimes("s", "w", Window(start=100, end=200, oldest=110), 2, None)
    row, flips = recorded(leaf, (time, 200))
    assert flips == [False]
    assert row.slots == {}


def test_with_newest_times_without_a_bound_nothing_is_ever_due():
    leaf = NewestTimes("s", "w", Window(), 2, None)
    row, flips = recorded(leaf, (1, 1), (2, 2))
    assert flips == [False, True]
    assert leaf.next_due(row, 2) == FOREVER


def test_with_newest_times_pruning_drops_what_never_counts_again():
    leaf = NewestTimes("s", "w", LAST_TEN, 3, None)
    row, _ = recorded(leaf, (1, 1), (5, 5))
    leaf.prune(row, 12)
    assert row.slots == {"s": [5]}
    leaf.prune(row, 16)
    assert row.slots == {}


def test_with_all_times_an_event_enters_the_window_later_and_leaves_it_later_still():
    leaf = TimesAgo("s", "w", AGO, 1, None)
    row, flips = recorded(leaf, (100, 100))
    assert flips == [False]
    assert row.due == 104
    assert [leaf.holds(row, at) for at in (103, 104, 110, 111)] == [False, True, True, False]
    assert leaf.next_due(row, 104) == 111
    assert leaf.next_due(row, 111) == FOREVER


def test_with_all_times_a_late_event_may_be_in_the_window_at_once():
    row, flips = recorded(TimesAgo("s", "w", AGO, 1, None), (95, 100), (94, 100))
    assert flips == [True, False]
    assert row.due == 105


def test_with_all_times_a_late_event_may_already_have_left():
    row, flips = recorded(TimesAgo("s", "w", AGO, 1, None), (89, 100))
    assert flips == [False]
    assert row.slots == {}


def test_with_all_times_every_time_in_reach_is_kept():
    leaf = TimesAgo("s", "w", AGO, 0, 1)
    row, flips = recorded(leaf, *((time, time) for time in range(100, 112)))
    assert row.slots == {"s": [101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111]}
    assert flips == [False] * 12
    assert not leaf.holds(row, 111)


def test_with_all_times_nothing_recorded_is_nothing_due():
    leaf = TimesAgo("s", "w", AGO, 0, 2)
    assert leaf.next_due(Row(1), 0) == FOREVER
    assert leaf.holds(Row(1), 0)


def test_with_all_times_pruning_drops_what_never_counts_again():
    leaf = TimesAgo("s", "w", AGO, 1, None)
    row, _ = recorded(leaf, (100, 100), (102, 102))
    leaf.prune(row, 111)
    assert row.slots == {"s": [102]}
    leaf.prune(row, 113)
    assert row.slots == {}


@given(
    bounds=st.sampled_from([(1, None), (2, None), (3, None), (0, 0), (0, 1), (2, 2), (1, 3)]),
    newest=st.sampled_from([0, 0, 3]),
    steps=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), max_size=25),
)
def test_any_way_of_counting_answers_as_a_count_of_everything_would(bounds, newest, steps):
    minimum, maximum = bounds
    leaf = event_count("s", "w", Window(oldest=8, newest=newest), minimum, maximum)
    row = Row(1)
    history: list[int] = []

    def true_at(at):
        count = sum(at - 8 <= time <= at - newest for time in history)
        return minimum <= count and (maximum is None or count <= maximum)

    at = 100
    for step, late in steps:
        for _ in range(step):
            at += 1
            before, now = true_at(at - 1), true_at(at)
            assert leaf.holds(row, at) is now
            if before is not now:
                assert row.due <= at
            if row.due == at:
                if row.slots:
                    leaf.prune(row, at)
                row.due = leaf.next_due(row, at)
                assert row.due > at
        before = true_at(at)
        history.append(at - late)
        assert leaf.record(row, at - late, at) is (before is not true_at(at))
        assert leaf.holds(row, at) is true_at(at)
        assert row.due > at
    kept = row.slots.get("s", [])
    if not newest:
        assert type(kept) is int or len(kept) <= (minimum if maximum is None else maximum + 1)
