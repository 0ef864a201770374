"""Counts over several workspaces: what each adds, and for how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.criteria.count_across import CountAcross
from cdp_stream.core.model import operators
from cdp_stream.core.model.criterion import Condition, EventCriterion, Reach, Source
from cdp_stream.core.model.row import FOREVER, Row
from cdp_stream.core.model.subject import Subject
from cdp_stream.core.model.windows import Window
from tests.core.accounts import batch, event
from tests.core.criteria.timeline import Timeline, ends, state_size

LAST_TEN = Window(oldest=10)
AGO = Window(oldest=10, newest=4)


def counting(minimum, maximum=None, windows=(LAST_TEN, LAST_TEN), where=()):
    """A count of `play` in the workspaces w0, w1, ..."""
    reaches = tuple(Reach(f"w{place}", window, None) for place, window in enumerate(windows))
    subject = Subject("event", "play")
    return CountAcross(EventCriterion(reaches, subject, where, minimum, maximum, "", ""), "id")


def row_after(leaf, *triples):
    """A row after events: (workspace, time, clock)."""
    row = Row(1)
    for place, time, at in triples:
        one = event("play", time)
        leaf.memories[place].record(row, one, batch(one), at)
    return row


def test_the_events_of_all_workspaces_add_up():
    leaf = counting(2)
    row = row_after(leaf, (0, 100, 100))
    assert not leaf.holds(row, 100)
    row = row_after(leaf, (0, 100, 100), (1, 105, 105))
    assert leaf.holds(row, 105)
    assert ends(leaf, row, 105) == [111]


def test_each_workspace_has_a_slot_of_its_own_and_says_what_it_reads():
    first, second = counting(2).memories
    assert first.slot != second.slot
    assert (first.workspace, second.workspace) == ("w0", "w1")
    assert first.reads == ((Reach("w0", LAST_TEN, None), Subject("event", "play")),)


def test_each_workspace_counts_in_its_own_window():
    leaf = counting(1, windows=(Window(oldest=10), Window(oldest=3)))
    assert ends(leaf, row_after(leaf, (0, 100, 100)), 100) == [111]
    assert ends(leaf, row_after(leaf, (1, 100, 100)), 100) == [104]
    row = row_after(leaf, (0, 100, 100), (1, 108, 108))
    assert ends(leaf, row, 108) == [112]


def test_at_most_one_ends_with_the_second_event_wherever_it_is():
    leaf = counting(0, 1)
    assert leaf.holds(Row(1), 100)
    row = row_after(leaf, (0, 100, 100), (1, 100, 100))
    assert not leaf.holds(row, 110)
    assert leaf.holds(row, 111)
    assert leaf.next_due(row, 100) == 111


def test_equals_two_comes_and_goes():
    leaf = counting(2, 2)
    row = row_after(leaf, (0, 100, 100), (1, 102, 102), (0, 104, 104))
    assert not leaf.holds(row, 104)
    assert ends(leaf, row, 104) == [111, 113]


def test_an_event_must_meet_the_conditions():
    leaf = counting(1, where=(Condition(Source.ATTRIBUTE, "k", operators.Test("equals", "x")),))
    row = Row(1)
    other, one = event("play", 100, custom_attributes={"k": "y"}), event("play", 100)
    for each in (other, one):
        leaf.memories[0].record(row, each, batch(each), 100)
    assert row.slots == {}
    one = event("play", 100, custom_attributes={"k": "X"})
    leaf.memories[0].record(row, one, batch(one), 100)
    assert leaf.holds(row, 100)


@pytest.mark.parametrize(("time", "counts"), [(99, False), (100, True), (199, True), (200, False)])
def test_a_calendar_window_has_its_first_instant_and_not_its_end(time, counts):
    leaf = counting(1, windows=(Window(start=100, end=200), Window(start=100, end=200)))
    assert leaf.holds(row_after(leaf, (0, time, 300)), 300) is counts


def test_a_window_that_ended_some_time_ago_is_entered_and_left():
    leaf = counting(2, windows=(AGO, AGO))
    row = row_after(leaf, (0, 100, 100), (1, 101, 101))
    assert not leaf.holds(row, 104)
    assert ends(leaf, row, 101) == [105, 111]


def test_without_a_bound_it_holds_for_ever():
    leaf = counting(1, windows=(Window(), Window()))
    row = row_after(leaf, (0, 100, 100))
    assert leaf.holds(row, 10**15)
    assert leaf.next_due(row, 100) == FOREVER


def test_an_event_that_is_older_than_the_window_leaves_no_state():
    assert row_after(counting(1), (0, 89, 100)).slots == {}


def test_pruning_leaves_no_state_behind():
    leaf = counting(1)
    row = row_after(leaf, (0, 100, 100), (0, 101, 101))
    leaf.memories[0].prune(row, 111)
    assert list(row.slots.values()) == [[101]]
    leaf.memories[0].prune(row, 112)
    assert row.slots == {}


def test_after_100_000_events_only_those_that_decide_are_kept():
    leaf = counting(3, windows=(Window(), Window()))
    row = Row(1)
    for time in range(100_000):
        one = event("play", time)
        leaf.memories[time % 2].record(row, one, batch(one), time)
    assert leaf.holds(row, 100_000)
    assert state_size(row) < 80
    assert row.weight < 300


@given(
    bounds=st.sampled_from([(1, None), (2, None), (3, None), (0, 0), (0, 1), (2, 2), (1, 3)]),
    windows=st.sampled_from(
        [
            (LAST_TEN, LAST_TEN),
            (LAST_TEN, Window(oldest=5)),
            (Window(), Window(oldest=4)),
            (AGO, Window(oldest=7, newest=4)),
            (Window(start=105, end=112), Window(start=105, end=112, oldest=6)),
            (LAST_TEN, Window(oldest=5), Window(oldest=2)),
        ]
    ),
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 12), st.integers(0, 2), st.booleans()),
        max_size=20,
    ),
)
def test_it_answers_as_a_count_of_everything_would(bounds, windows, steps):
    minimum, maximum = bounds

    def truth(history, at):
        total = 0
        for workspace, one in history:
            window, age = windows[int(workspace[1:])], at - one.occurred_at
            total += (
                (window.oldest is None or age <= window.oldest)
                and age >= (window.newest or 0)
                and (window.start is None or window.start <= one.occurred_at < window.end)
            )
        return minimum <= total and (maximum is None or total <= maximum)

    line = Timeline(counting(minimum, maximum, windows), truth, 100)
    for step, late, place, stored in steps:
        line.pass_to(line.at + step)
        line.enter(f"w{place % len(windows)}", event("Play", line.at - late))
        if stored:
            line.store()
    line.pass_to(line.at + 15)
