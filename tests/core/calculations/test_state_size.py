"""How much a hundred thousand events leave behind in a row."""

import pytest

from cdp_stream.core.model.criterion import Calculation
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.windows import Window
from tests.core.calculations.attributes import Profile, attribute

pytestmark = pytest.mark.slow
EVENTS = 100_000
FOREVER_KEPT = {"unique_values_count", "most_frequent", "unique_list"}
BOUNDED_WITHIN = {"last_occurrence", "last_occurrence_timestamp", "unique_values_count"}
TEXT = "a text that is rather long, of a category or a title"


def filled(calculation, window, value_of):
    profile = Profile(attribute(calculation, window))
    record = profile.memory.record
    for time in range(EVENTS):
        data = {"custom_attributes": {"v": value_of(time)}}
        event = Event(time, "event", "play", "", data, None, None, 0)
        record(profile.row, event, Batch(1, "i", time, [event], None, None, {}, {}), time)
    profile.clock = EVENTS - 1
    return profile


def text_of(time):
    return f"{TEXT} {time % 50}"


def number_of(time):
    return time * 0.37 + 12345.678901


@pytest.mark.parametrize("calculation", [member.value for member in Calculation])
def test_without_a_greatest_age_state_is_bounded_by_the_values(calculation):
    is_number = calculation in ("sum", "average", "min", "max")
    profile = filled(calculation, Window(newest=0), number_of if is_number else text_of)
    assert profile.size < (50 * 100 if calculation in FOREVER_KEPT else 120)


@pytest.mark.parametrize("calculation", [member.value for member in Calculation])
def test_within_a_window_state_takes_sixteen_bytes_an_event_at_most(calculation):
    is_number = calculation in ("sum", "average", "min", "max")
    window = Window(oldest=EVENTS, newest=0)
    profile = filled(calculation, window, number_of if is_number else text_of)
    values = 50 * 100 + 100
    few = calculation in BOUNDED_WITHIN | {"max", "unique_list"}
    assert profile.size < values + (0 if few else 16 * EVENTS)
    if not few:
        assert profile.size > 6 * EVENTS
    assert profile.row.weight >= profile.size
    profile.prunes(2 * EVENTS - 1)
    assert profile.size < values


def test_a_list_of_ever_new_values_keeps_a_hundred():
    profile = filled("unique_list", Window(newest=0), lambda time: f"{EVENTS - time:06}")
    assert profile.value() == [f"{n:06}" for n in range(1, 101)]
    assert profile.size < 1_000
