"""Each calculation at its edges: windows to the millisecond, ties, late events, odd values."""

import pytest

from cdp_stream.core.model.operators import MISSING
from cdp_stream.core.model.row import FOREVER
from cdp_stream.core.model.windows import Window
from tests.core.calculations.attributes import Profile, attribute, of

TEN = Window(oldest=10, newest=0)
ALL = [
    *("count", "sum", "min", "max", "average", "most_frequent", "unique_values_count"),
    *("unique_list", "first_occurrence", "last_occurrence"),
    *("first_occurrence_timestamp", "last_occurrence_timestamp"),
]
EMPTY = {"count": 0, "sum": 0, "unique_values_count": 0, "unique_list": []}
OF_FIVE = {
    **dict.fromkeys(["count", "unique_values_count"], 1),
    "unique_list": [5],
    "first_occurrence_timestamp": 100,
    "last_occurrence_timestamp": 100,
}


@pytest.mark.parametrize("window", [Window(newest=0), TEN])
@pytest.mark.parametrize("calculation", ALL)
def test_over_nothing_counts_are_nought_and_others_have_no_value(calculation, window):
    profile = Profile(attribute(calculation, window))
    assert profile.value(100) == EMPTY.get(calculation, MISSING)
    assert profile.memory.next_change(profile.row, 100) == FOREVER


@pytest.mark.parametrize("calculation", ALL)
def test_a_value_counts_up_to_its_greatest_age_and_not_a_millisecond_longer(calculation):
    profile = Profile(attribute(calculation, TEN))
    profile.adds(100, 5)
    full, empty = OF_FIVE.get(calculation, 5), EMPTY.get(calculation, MISSING)
    assert [profile.value(at) for at in (100, 110, 111)] == [full, full, empty]
    assert profile.memory.next_change(profile.row, 100) == 111
    assert profile.memory.next_change(profile.row, 110) == 111
    assert profile.memory.next_change(profile.row, 111) == FOREVER
    profile.prunes(110)
    assert profile.value(110) == full
    profile.prunes(111)
    assert profile.row.slots == {}
    assert profile.value(111) == empty


@pytest.mark.parametrize("calculation", ALL)
@pytest.mark.parametrize(("time", "counts"), [(89, False), (90, True), (100, True)])
def test_a_late_value_counts_while_it_is_in_the_window(calculation, time, counts):
    profile = Profile(attribute(calculation, TEN))
    profile.adds(time, 5, at=100)
    assert (profile.row.slots != {}) == counts
    assert (profile.value() != EMPTY.get(calculation, MISSING)) == counts


@pytest.mark.parametrize("calculation", ALL)
@pytest.mark.parametrize(
    ("time", "counts"), [(49, False), (50, True), (59, True), (60, False), (61, False)]
)
def test_a_calendar_window_begins_with_its_first_instant_and_ends_before_its_last(
    calculation, time, counts
):
    profile = Profile(attribute(calculation, Window(start=50, end=60, newest=0)))
    profile.adds(time, 5, at=10_000)
    assert (profile.row.slots != {}) == counts
    assert profile.memory.next_change(profile.row, 10_000) == FOREVER


@pytest.mark.parametrize("window", [Window(newest=0), TEN])
@pytest.mark.parametrize("calculation", ALL)
@pytest.mark.parametrize("value", [None, MISSING, float("inf"), float("nan")])
def test_null_missing_and_endless_values_do_not_count(calculation, window, value):
    profile = Profile(attribute(calculation, window))
    data = {} if value is MISSING else {"custom_attributes": {"v": value}}
    profile.adds_data(100, data)
    assert profile.row.slots == {}
    assert profile.row.weight == 128


@pytest.mark.parametrize("calculation", ["sum", "min", "max", "average"])
def test_what_is_no_number_is_passed_over(calculation):
    timed = [(1, "x"), (2, True), (3, "4.5"), (4, ""), (5, [1]), (6, "nan"), (7, "1e400")]
    assert of(calculation, *timed) == 4.5


def test_sums_are_exact_decimals():
    assert of("sum", (1, 0.1), (2, 0.2)) == 0.3
    assert of("sum", *[(time, "0.1") for time in range(10)]) == 1
    assert type(of("sum", (1, 0.5), (2, 0.5))) is int
    assert of("sum", (1, 1e300), (2, 1), (3, -1e300)) == 1
    assert of("sum", (1, "1e-99999999"), (2, 2.5)) == 2.5


@pytest.mark.parametrize("window", [Window(newest=0), TEN])
def test_sums_and_extremes_go_beyond_64_bits(window):
    timed = [(1, 2**63 - 1), (2, 1), (3, 2**64 - 1), (4, -(2**63))]
    assert of("sum", *timed, window=window) == 2**64 + 2**63 - 1 - 2**63
    assert of("sum", *timed[:3], window=window) == 2**64 + 2**63 - 1
    assert of("max", *timed, window=window) == 2**64 - 1
    assert of("min", *timed, window=window) == -(2**63)


def test_numbers_of_any_size_leave_a_sum_without_a_trace():
    profile = Profile(attribute("sum", TEN))
    profile.adds(100, "1e-300", 0.25, 1e300)
    profile.adds(105, 5)
    assert profile.value(110) == 1e300
    assert profile.value(111) == 5
    profile.prunes(111)
    profile.adds(112, 1)
    assert profile.value(112) == 6
    profile.prunes(115)
    assert profile.value(116) == 1


def test_an_average_is_rounded_once():
    assert of("average", (1, 0.1), (2, 0.2), (3, 0.3)) == 0.2
    assert of("average", (1, 1), (2, 2)) == 1.5
    assert type(of("average", (1, 1), (2, 3))) is int
    assert of("average", (1, 2**63 - 1), (2, 2**63 - 1), (3, 2**63 - 2)) == 2**63 - 4 / 3


def test_extremes_of_numeric_text_are_numbers():
    assert of("min", (1, "10"), (2, 9), (3, " 1e1 ")) == 9
    assert of("max", (1, "10"), (2, 9), (3, "-1e5")) == 10
    assert of("max", (1, "0.10"), (2, -1)) == 0.1


def test_an_extreme_falls_back_on_the_next_best():
    profile = Profile(attribute("max", TEN))
    for time, value in [(100, 9), (102, 3), (104, 7), (106, 1)]:
        profile.adds(time, value)
    assert [profile.value(at) for at in (110, 111, 114, 115, 117)] == [9, 7, 7, 1, MISSING]
    assert profile.memory.next_change(profile.row, 106) == 111
    profile.adds(103, 8, at=106)
    assert [profile.value(at) for at in (111, 113, 114)] == [8, 8, 7]
    profile.adds(104, 7.5, 7.25, at=106)
    assert [profile.value(at) for at in (113, 114, 115)] == [8, 7.5, 1]


def test_an_equal_value_that_is_newer_lasts_longer():
    profile = Profile(attribute("min", TEN))
    profile.adds(100, 1)
    profile.adds(105, 1.0)
    assert profile.memory.next_change(profile.row, 105) == 116


def test_of_equally_frequent_values_the_first_in_order_of_text_wins():
    assert of("most_frequent", (1, "b"), (2, "a")) == "a"
    assert of("most_frequent", (1, "b"), (2, "a"), (3, "b")) == "b"
    assert of("most_frequent", (1, "B"), (2, "b"), (3, "b"), (4, "B")) == "B"
    assert of("most_frequent", (1, 10), (2, 9)) == 10
    assert of("most_frequent", (1, 1), (2, "1")) == "1"
    assert repr(of("most_frequent", (1, 1), (2, 1.0), (3, True), (4, 1.0))) == "1.0"


def test_the_most_frequent_gives_way_as_its_values_leave():
    profile = Profile(attribute("most_frequent", TEN))
    for time, value in [(100, "x"), (101, "x"), (102, "y"), (103, "x"), (104, "y"), (105, "z")]:
        profile.adds(time, value)
    expected = {105: "x", 110: "x", 111: "x", 112: "y", 114: "y", 115: "z", 116: MISSING}
    assert {at: profile.value(at) for at in expected} == expected
    profile.packs()
    profile.prunes(111)
    profile.packs()
    assert [profile.value(at) for at in (111, 112, 115)] == ["x", "y", "z"]
    profile.prunes(112)
    assert profile.value(112) == "y"


def test_the_most_frequent_stays_while_others_leave():
    profile = Profile(attribute("most_frequent", TEN))
    profile.adds(100, "a")
    profile.adds(105, "b", "b")
    profile.prunes(111)
    assert [profile.value(at) for at in (111, 115, 116)] == ["b", "b", MISSING]


def test_values_differ_by_their_json():
    timed = [(1, 1), (2, 1.0), (3, "1"), (4, "a"), (5, "A"), (6, "a"), (7, True), (8, "true")]
    assert of("unique_values_count", *timed) == 7
    assert of("unique_list", *timed) == ["1", 1, 1.0, "A", "a", "true", True]
    assert of("unique_list", (1, 1e-7), (2, 1e-10), (3, 1e16)) == [1e-10, 1e-7, 1e16]


@pytest.mark.parametrize("window", [Window(newest=0), Window(oldest=1_000, newest=0)])
def test_a_list_has_the_first_hundred_and_the_count_all(window):
    timed = [(time, f"{(time * 7) % 150:03}") for time in range(300)]
    assert of("unique_list", *timed, window=window) == [f"{n:03}" for n in range(100)]
    assert of("unique_values_count", *timed, window=window) == 150


def test_a_list_takes_back_what_it_had_no_place_for():
    profile = Profile(attribute("unique_list", TEN))
    profile.adds(100, "0000")
    profile.adds(101, *[f"{n:04}" for n in range(1, 102)])
    assert profile.value(110)[-1] == "0099"
    assert profile.value(111)[-1] == "0100"


@pytest.mark.parametrize("calculation", ["unique_values_count", "unique_list"])
def test_a_value_seen_again_stays_by_its_newest_time(calculation):
    profile = Profile(attribute(calculation, TEN))
    profile.adds(100, "a", "b")
    profile.adds(105, "a")
    profile.adds(103, "a", at=105)
    values = {110: ["a", "b"], 111: ["a"], 115: ["a"], 116: []}
    if calculation == "unique_values_count":
        values = {at: len(found) for at, found in values.items()}
    assert {at: profile.value(at) for at in values} == values
    assert profile.memory.next_change(profile.row, 111) == 116


@pytest.mark.parametrize("window", [Window(newest=0), TEN])
def test_at_one_instant_the_earlier_read_is_first_and_the_later_last(window):
    profile = Profile(attribute("first_occurrence", window))
    profile.adds(100, "a", "b")
    profile.adds(95, "c", "d")
    profile.adds(100, "e")
    assert profile.value() == "c"
    assert of("last_occurrence", (100, "a"), (100, "b"), (95, "c"), window=window) == "b"


def test_first_values_follow_each_other_out_of_the_window():
    profile = Profile(attribute("first_occurrence", TEN))
    for time, value in [(100, "a"), (104, "b"), (104, "c"), (108, "a")]:
        profile.adds(time, value)
    assert [profile.value(at) for at in (110, 111, 114, 115, 118)] == ["a", "b", "b", "a", "a"]
    profile.prunes(115)
    assert profile.value(118) == "a"
    assert profile.value(119) is MISSING
    times = Profile(attribute("first_occurrence_timestamp", TEN))
    times.adds(104, 1)
    times.adds(100, 1, 2, at=104)
    assert [times.value(at) for at in (110, 111, 115)] == [100, 104, MISSING]


def test_lists_and_objects_are_values_as_they_are():
    assert of("last_occurrence", (1, {"b": [1, "é"], "a": None})) == {"b": [1, "é"], "a": None}
    assert of("unique_values_count", (1, [1]), (2, [1.0]), (3, [1])) == 2


def test_without_a_value_events_themselves_count():
    for calculation, value in {"count": 2, "first_occurrence_timestamp": 3}.items():
        profile = Profile(attribute(calculation, TEN, value=None))
        profile.adds_data(3, {})
        profile.adds_data(5, {})
        assert profile.value() == value
