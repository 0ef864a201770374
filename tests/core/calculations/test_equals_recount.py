"""Whatever the order, the window, the prunings and the packings: the value is that of a recount."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.model.criterion import Calculation
from cdp_stream.core.model.operators import MISSING
from cdp_stream.core.model.row import FOREVER
from cdp_stream.core.model.windows import Window
from tests.core.calculations.attributes import Profile, attribute, recount

VALUES = st.one_of(
    st.sampled_from(["a", "b", "B", "", "1", 1, 1.0, True, "true", None, MISSING, ["a"]]),
    st.sampled_from(
        [0.1, "0.2", " 1e2 ", -3, "-0.0", 2**63, "1e-300", 1e300, 2**72, "7." + "1" * 30]
    ),
    st.integers(-5, 5),
    st.floats(-1e6, 1e6),
    st.text("xyz", max_size=2),
)
WINDOWS = st.builds(
    Window,
    oldest=st.sampled_from([None, 0, 1, 7, 20, 60]),
    newest=st.just(0),
    start=st.sampled_from([None, None, 30]),
    end=st.sampled_from([None, None, 90]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(0, 12), VALUES),
        st.tuples(st.just("late"), st.integers(0, 70), VALUES),
        st.tuples(st.just("wait"), st.integers(0, 25), st.none()),
        st.tuples(st.just("prune"), st.none(), st.none()),
        st.tuples(st.just("pack"), st.none(), st.none()),
    ),
    max_size=40,
)


def same(one, other):
    """Equal, and of one type: 1 is not 1.0, nor true."""
    return one == other and type(one) is type(other)


@pytest.mark.parametrize("calculation", [member.value for member in Calculation])
@given(window=WINDOWS, steps=STEPS)
def test_the_value_and_its_next_change_are_those_of_a_recount(calculation, window, steps):
    profile = Profile(attribute(calculation, window))
    read = []
    clock = 0
    for step, amount, value in steps:
        if step in ("event", "late"):
            time = clock + amount if step == "event" else max(0, clock - amount)
            clock = max(clock, time)
            data = {} if value is MISSING else {"custom_attributes": {"v": value}}
            profile.adds_data(time, data, at=clock)
            if value is not None and value is not MISSING:
                read.append((time, value))
        elif step == "wait":
            clock += amount
        elif step == "prune":
            profile.prunes(clock)
        else:
            profile.packs()
        for at in (clock, clock + 1, clock + 9):
            assert same(profile.value(at), recount(calculation, read, window, at))
        change = profile.memory.next_change(profile.row, clock)
        assert change > clock
        quiet = range(clock, min(change, clock + 70))
        assert all(same(profile.value(at), profile.value(clock)) for at in quiet)
        if window.oldest is None:
            assert change == FOREVER
    profile.prunes(clock + 10_000)
    assert profile.row.slots == {} or window.oldest is None
