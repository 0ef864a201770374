"""Sequences: strictly one after the other, within the duration, all in the window."""

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.criteria.sequence import Sequence
from cdp_stream.core.model import operators
from cdp_stream.core.model.criterion import Condition, Reach, SequenceCriterion, Source, Step
from cdp_stream.core.model.row import FOREVER, Row
from cdp_stream.core.model.subject import Subject
from cdp_stream.core.model.windows import Window
from tests.core.accounts import batch, event
from tests.core.criteria.timeline import Timeline, ends, reads, state_size

LAST_20 = Window(oldest=20)
AGO = Window(oldest=20, newest=5)


def sequence(names="AB", within=5, windows=(LAST_20,)):
    """A sequence of custom events, a letter each, in the workspaces w0, w1, ..."""
    steps = tuple(Step(Subject("event", name.casefold()), ()) for name in names)
    return of_steps(steps, within, windows)


def of_steps(steps, within=5, windows=(LAST_20,)):
    reaches = tuple(Reach(f"w{place}", window, None) for place, window in enumerate(windows))
    return Sequence(SequenceCriterion(reaches, steps, within, "", ""), "id")


def row_after(leaf, *events, clock=None):
    """A row after events in this order: `A@100`, `A@100/w1`; the clock is the newest so far."""
    row = Row(1)
    at = clock or 0
    for text in events:
        name, _, rest = text.partition("@")
        time, _, workspace = rest.partition("/")
        one = event(name, int(time))
        at = max(at, one.occurred_at)
        memory = next(m for m in leaf.memories if m.workspace == (workspace or "w0"))
        memory.record(row, one, batch(one), at)
    return row, at


@pytest.mark.parametrize(
    ("events", "holds"),
    [
        (["A@100", "B@101"], True),
        (["A@100", "B@100"], False),
        (["B@100", "A@101"], False),
        (["A@100", "B@105"], True),
        (["A@100", "B@106"], False),
        (["A@100", "A@101", "B@106"], True),
        (["A@100", "B@106", "B@105"], True),
        (["A@100", "B@106", "A@101"], True),
        (["B@100", "A@99"], True),
        (["A@100"], False),
        (["B@100"], False),
    ],
)
def test_the_second_is_strictly_later_and_at_most_the_duration(events, holds):
    leaf = sequence()
    row, at = row_after(leaf, *events)
    assert leaf.holds(row, at) is holds


@pytest.mark.parametrize(
    ("names", "events", "holds"),
    [
        ("AA", ["A@100"], False),
        ("AA", ["A@100", "A@100"], False),
        ("AA", ["A@100", "A@101"], True),
        ("ABA", ["A@100", "B@102"], False),
        ("ABA", ["A@100", "B@102", "A@104"], True),
        ("ABA", ["A@100", "B@102", "A@102"], False),
        ("ABC", ["A@100", "B@103", "C@105"], True),
        ("ABC", ["A@100", "B@103", "C@106"], False),
        ("ABC", ["A@100", "A@102", "B@103", "C@106"], True),
        ("ABC", ["A@100", "C@102", "B@103", "C@104"], True),
        ("ABC", ["C@104", "A@102", "B@103"], True),
        ("ABC", ["A@100", "B@103", "A@102", "C@107"], True),
    ],
)
def test_more_steps_and_steps_of_the_same_event(names, events, holds):
    leaf = sequence(names)
    row, at = row_after(leaf, *events)
    assert leaf.holds(row, at) is holds


def test_one_event_that_is_several_steps_is_one_of_them():
    any_event = Step(Subject("event"), ())
    leaf = of_steps((any_event, any_event, any_event))
    row, at = row_after(leaf, "A@100", "B@101", "B@101")
    assert not leaf.holds(row, at)
    row, at = row_after(leaf, "A@100", "B@101", "C@102")
    assert leaf.holds(row, at)


def test_it_lasts_until_the_first_event_of_the_latest_chain_leaves_the_window():
    leaf = sequence()
    row, at = row_after(leaf, "A@100", "B@103")
    assert [leaf.holds(row, instant) for instant in (103, 120, 121)] == [True, True, False]
    assert ends(leaf, row, at) == [121]
    row, at = row_after(leaf, "A@100", "B@103", "A@104", "B@109")
    assert ends(leaf, row, at) == [125]
    row, at = row_after(leaf, "A@100", "A@102", "B@103")
    assert ends(leaf, row, at) == [123]


def test_a_late_event_in_the_middle_of_two_chains_makes_the_later_one():
    leaf = sequence("AA")
    row, at = row_after(leaf, "A@100", "A@106", "A@103")
    assert ends(leaf, row, at) == [124]


def test_a_time_right_after_the_start_of_a_chain_may_start_the_next():
    leaf = sequence()
    row, at = row_after(leaf, "A@100", "A@101", "B@101", "B@105")
    assert ends(leaf, row, at) == [122]


def test_a_late_first_event_makes_a_chain_only_while_it_is_in_the_window():
    leaf = sequence(within=20)
    row, at = row_after(leaf, "B@110", "A@95", clock=115)
    assert leaf.holds(row, at)
    assert ends(leaf, row, at) == [116]
    row, at = row_after(leaf, "B@110", "A@94", clock=115)
    assert not leaf.holds(row, at)


def test_times_up_to_the_start_of_the_newest_chain_are_dropped_later_ones_ignored():
    leaf = sequence()
    row, _ = row_after(leaf, "A@100", "B@101", "A@104", "B@106", "A@107", "A@102", "B@103")
    (state,) = row.slots.values()
    assert state == [104, bytes.fromhex("00000000006b"), bytes.fromhex("00000000006a")]


def test_the_same_instant_is_kept_once():
    leaf = sequence()
    row, _ = row_after(leaf, "A@100", "A@100", "A@100")
    (state,) = row.slots.values()
    assert [len(times) for times in state[1:]] == [6, 0]


@pytest.mark.parametrize(
    ("events", "holds"),
    [
        (["A@100", "B@104"], True),
        (["A@99", "B@100"], False),
        (["A@103", "B@105"], False),
        (["A@104", "B@105"], False),
    ],
)
def test_a_calendar_window_has_the_whole_chain(events, holds):
    leaf = sequence(windows=(Window(start=100, end=105),))
    row, _ = row_after(leaf, *events)
    assert leaf.holds(row, 10**9) is holds
    assert leaf.next_due(row, 10**9) == FOREVER


def test_without_a_bound_a_chain_holds_for_ever_and_nothing_more_is_kept():
    leaf = sequence(windows=(Window(),))
    row, at = row_after(leaf, "A@100", "A@101", "B@102", "A@103")
    assert list(row.slots.values()) == [[101, b"", b""]]
    assert leaf.holds(row, 10**15)
    assert leaf.next_due(row, at) == FOREVER


def test_a_past_window_is_entered_by_the_last_event_and_left_by_the_first():
    leaf = sequence(windows=(AGO,))
    row, at = row_after(leaf, "A@100", "B@103")
    assert not leaf.holds(row, 107)
    assert ends(leaf, row, at) == [108, 121]
    assert leaf.next_due(row, at) == 108
    assert leaf.next_due(row, 107) == 108


def test_in_a_past_window_a_newer_chain_takes_over_once_it_has_entered():
    leaf = sequence(windows=(AGO,))
    row, at = row_after(leaf, "A@100", "B@103", "A@110", "B@112")
    assert ends(leaf, row, at) == [131]
    leaf.memories[0].prune(row, 116)
    assert next(iter(row.slots.values()))[0] == 100
    leaf.memories[0].prune(row, 117)
    assert next(iter(row.slots.values())) == [110, b"", bytes.fromhex("000000000070")]
    assert ends(leaf, row, 117) == [131]


def test_in_a_past_window_the_newest_chain_that_has_entered_is_kept():
    leaf = sequence(windows=(AGO,))
    row, _ = row_after(leaf, "A@100", "B@101", "A@103", "B@104")
    leaf.memories[0].prune(row, 110)
    assert next(iter(row.slots.values()))[0] == 103


def test_a_chain_may_go_over_several_workspaces_each_with_its_own_window():
    leaf = sequence(windows=(LAST_20, Window(oldest=10)))
    row, at = row_after(leaf, "A@100/w0", "B@103/w1")
    assert ends(leaf, row, at) == [114]
    row, at = row_after(leaf, "A@100/w1", "B@103/w0")
    assert ends(leaf, row, at) == [111]
    row, at = row_after(leaf, "A@100/w1", "A@100/w0", "B@103/w0")
    assert ends(leaf, row, at) == [121]
    assert len(row.slots) == 2


def test_a_step_has_conditions_and_a_kind_of_its_own():
    bought = Step(Subject("commerce", "purchase"), ())
    looked = Step(
        Subject("screen_view"), (Condition(Source.ATTRIBUTE, "k", operators.Test("equals", "x")),)
    )
    leaf = of_steps((looked, bought))
    (memory,) = leaf.memories
    reach = Reach("w0", LAST_20, None)
    assert memory.reads == ((reach, looked.subject), (reach, bought.subject))
    row = Row(1)
    for one in (
        event("Home", 100, kind="screen_view", custom_attributes={"k": "y"}),
        event("PURCHASE", 101, kind="commerce"),
    ):
        memory.record(row, one, batch(one), one.occurred_at)
    assert not leaf.holds(row, 101)
    one = event("Home", 99, kind="screen_view", custom_attributes={"k": "X"})
    memory.record(row, one, batch(one), 101)
    assert leaf.holds(row, 101)


def test_an_event_that_is_no_step_or_older_than_the_window_leaves_no_state():
    leaf = sequence()
    row, _ = row_after(leaf, "C@100", "A@79")
    assert row.slots == {}
    (memory,) = leaf.memories
    assert reads(memory, event("a"), "ios")
    assert not reads(memory, event("c"), "ios")


def test_two_steps_of_one_subject_read_it_once():
    (memory,) = sequence("AA").memories
    assert len(memory.reads) == 1


def test_pruning_leaves_no_state_behind():
    leaf = sequence()
    row, _ = row_after(leaf, "A@100", "B@103")
    leaf.memories[0].prune(row, 120)
    assert len(row.slots) == 1
    leaf.memories[0].prune(row, 123)
    assert len(row.slots) == 1
    leaf.memories[0].prune(row, 124)
    assert row.slots == {}


def test_after_100_000_events_in_turn_next_to_nothing_is_kept():
    leaf = sequence("ABC", within=10_000, windows=(Window(oldest=50_000),))
    row, (memory,) = Row(1), leaf.memories
    events = [event("ABC"[time % 3], time) for time in range(100_000)]
    for one in events:
        memory.record(row, one, batch(one), one.occurred_at)
    assert leaf.holds(row, 100_000)
    assert state_size(row) < 80


def test_100_000_events_that_never_make_a_chain_take_six_bytes_each():
    leaf = sequence("AB", windows=(Window(oldest=50_000),))
    row, (memory,) = Row(1), leaf.memories
    for time in range(100_000):
        one = event("A", time)
        memory.record(row, one, batch(one), time)
        assert not leaf.holds(row, time)
    assert state_size(row) < 6 * 50_001 + 50


def found(history, windows, names, within, at):
    """Every choice of an event for each step, tried."""
    times = [
        [
            one.occurred_at
            for workspace, one in history
            if one.name.casefold() == name.casefold()
            and is_in(windows[int(workspace[1:])], one.occurred_at, at)
        ]
        for name in names
    ]
    return any(
        all(one < other for one, other in pairwise(chain)) and chain[-1] - chain[0] <= within
        for chain in product(*map(set, times))
    )


def is_in(window, time, at):
    return (
        (window.oldest is None or at - time <= window.oldest)
        and at - time >= (window.newest or 0)
        and (window.start is None or window.start <= time)
        and (window.end is None or time < window.end)
    )


TEN = Window(oldest=10)


@given(
    names=st.sampled_from(["AB", "AA", "ABA", "ABC", "AAB", "ABAB"]),
    within=st.sampled_from([1, 3, 6, 30]),
    windows=st.sampled_from(
        [
            (TEN,),
            (TEN,),
            (Window(),),
            (Window(start=104, end=115),),
            (Window(start=104, oldest=10),),
            (Window(oldest=10, newest=4),),
            (Window(newest=3),),
            (TEN, TEN),
            (TEN, Window(oldest=5)),
            (Window(), Window(oldest=4)),
            (Window(oldest=12, newest=4), Window(oldest=8, newest=4)),
        ]
    ),
    steps=st.lists(
        st.tuples(
            st.sampled_from([0, 0, 1, 1, 2, 5]),
            st.sampled_from([0, 0, 0, 1, 2, 4, 9, 13]),
            st.sampled_from("AABBC"),
            st.integers(0, 1),
            st.sampled_from(["", "", "store", "prune"]),
        ),
        max_size=16,
    ),
)
def test_it_answers_as_trying_every_chain_would(names, within, windows, steps):
    line = Timeline(
        sequence(names, within, windows),
        lambda history, at: found(history, windows, names, within, at),
        100,
    )
    for step, late, name, place, then in steps:
        line.pass_to(line.at + step)
        line.enter(f"w{place % len(windows)}", event(name, line.at - late))
        if then == "store":
            line.store()
        if then == "prune":
            line.prune()
    line.pass_to(line.at + 18)
