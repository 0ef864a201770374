"""A test on a user attribute: of now, and of dates that pass."""

from cdp_stream.core.criteria.user_attribute import UserAttribute
from cdp_stream.core.model.operators import DATED, MISSING
from cdp_stream.core.model.operators import Test as Operator
from cdp_stream.core.model.row import FOREVER, Row, Space
from cdp_stream.core.model.windows import Window


def row_with(**attributes):
    row = Row(1)
    row.spaces["w"] = Space(0, 0, attributes)
    return row


def test_a_value_is_read_in_its_own_workspace():
    leaf = UserAttribute("w", "status", Operator("equals", "premium"))
    assert leaf.holds(row_with(status="Premium"), 0)
    assert not leaf.holds(row_with(), 0)
    elsewhere = row_with(status="Premium")
    elsewhere.spaces = {"other": elsewhere.spaces["w"]}
    assert not leaf.holds(elsewhere, 0)
    assert leaf.next_due(row_with(status="Premium"), 0) == FOREVER
    assert not leaf.is_dated


def test_a_missing_value_meets_a_negative_test():
    leaf = UserAttribute("w", "status", Operator("does_not_equal", "premium"))
    assert leaf.holds(row_with(), 0)
    assert leaf.holds(Row(1), 0)
    assert leaf.accepts(MISSING, 0)


def test_a_date_enters_its_window_and_leaves_it():
    leaf = UserAttribute("w", "birthday", Operator(DATED, Window(oldest=10, newest=0)))
    row = row_with(birthday=100)
    assert leaf.is_dated
    assert leaf.next_due(row, 50) == 100
    assert leaf.next_due(row, 100) == 111
    assert leaf.next_due(row, 111) == FOREVER
    assert leaf.next_due(row_with(), 50) == FOREVER
    assert [leaf.holds(row, at) for at in (99, 100, 110, 111)] == [False, True, True, False]


def test_of_a_list_of_dates_some_element_counts():
    leaf = UserAttribute("w", "trips", Operator(DATED, Window(oldest=10, newest=0)))
    row = row_with(trips=["soon", "100", 105])
    assert [leaf.holds(row, at) for at in (99, 100, 115, 116)] == [False, True, True, False]
    assert leaf.next_due(row, 105) == 116
