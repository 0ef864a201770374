"""Truths that follow from the row itself."""

from cdp_stream.core.criteria.membership import Activity, Membership
from cdp_stream.core.model.row import FOREVER, Row, Space


def test_activity_is_that_of_its_own_workspace():
    row = Row(1)
    assert not Activity(("travel",)).holds(row, 0)
    row.spaces["travel"] = Space(0, 0, {})
    assert Activity(("travel",)).holds(row, 0)
    assert not Activity(("shop",)).holds(row, 0)


def test_membership_is_that_of_its_own_audience():
    row = Row(1)
    assert not Membership("a").holds(row, 0)
    row.members["a"] = 5
    assert Membership("a").holds(row, 0)


def test_neither_changes_by_itself():
    assert Activity(("travel",)).next_due(Row(1), 0) == FOREVER
    assert Membership("a").next_due(Row(1), 0) == FOREVER
