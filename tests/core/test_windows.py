"""Every edge of a window, to the millisecond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.model.windows import Window

DAY = 86_400_000
LAST = Window(oldest=3 * DAY, newest=0)
AGO = Window(oldest=6 * DAY, newest=4 * DAY)
CALENDAR = Window(start=1000, end=2000)


@pytest.mark.parametrize(
    ("window", "time", "at", "counts"),
    [
        (Window(), -5, 0, True),
        (LAST, 0, 3 * DAY, True),
        (LAST, 0, 3 * DAY + 1, False),
        (LAST, 5, 5, True),
        (LAST, 6, 5, False),
        (AGO, 0, 4 * DAY - 1, False),
        (AGO, 0, 4 * DAY, True),
        (AGO, 0, 6 * DAY, True),
        (AGO, 0, 6 * DAY + 1, False),
        (CALENDAR, 999, 5000, False),
        (CALENDAR, 1000, 5000, True),
        (CALENDAR, 1999, 0, True),
        (CALENDAR, 2000, 5000, False),
    ],
)
def test_a_time_counts_up_to_and_with_the_edges(window, time, at, counts):
    assert window.contains(time, at) is counts


@pytest.mark.parametrize(
    ("window", "time", "after", "change"),
    [
        (Window(), 0, 0, None),
        (LAST, 0, 0, 3 * DAY + 1),
        (LAST, 0, 3 * DAY, 3 * DAY + 1),
        (LAST, 0, 3 * DAY + 1, None),
        (LAST, 10, 9, 10),
        (AGO, 0, 0, 4 * DAY),
        (AGO, 0, 4 * DAY - 1, 4 * DAY),
        (AGO, 0, 4 * DAY, 6 * DAY + 1),
        (AGO, 0, 6 * DAY + 1, None),
        (CALENDAR, 999, 0, None),
        (CALENDAR, 1500, 0, None),
        (CALENDAR, 2000, 0, None),
        (Window(start=1000, oldest=DAY), 1000, 0, 1000 + DAY + 1),
    ],
)
def test_the_next_change_is_the_first_instant_at_which_the_answer_differs(
    window, time, after, change
):
    assert window.next_change(time, after) == change


@pytest.mark.parametrize(
    ("window", "lookback", "cut"),
    [
        (Window(), None, Window()),
        (Window(), 5, Window(oldest=5)),
        (Window(oldest=4), 5, Window(oldest=4)),
        (Window(oldest=5), 5, Window(oldest=5)),
        (Window(oldest=6, newest=2), 5, Window(oldest=5, newest=2)),
        (Window(start=1, end=9), 5, Window(start=1, end=9, oldest=5)),
    ],
)
def test_the_lookback_cuts_what_lies_further_back(window, lookback, cut):
    assert window.cut_to(lookback) == cut


BOUND = st.none() | st.integers(0, 30)


@given(
    bounds=st.tuples(BOUND, BOUND, BOUND, BOUND),
    time=st.integers(-5, 40),
    after=st.integers(-5, 60),
)
def test_nothing_changes_before_the_next_change(bounds, time, after):
    start, end, oldest, newest = bounds
    if oldest is not None and newest is not None and oldest < newest:
        oldest, newest = newest, oldest
    window = Window(start, end, oldest, newest)
    change = window.next_change(time, after)
    answer = window.contains(time, after)
    last = 200 if change is None else change - 1
    assert all(window.contains(time, at) is answer for at in range(after, last + 1))
    if change is not None:
        assert change > after
        assert window.contains(time, change) is not answer
