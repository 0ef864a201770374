"""What changes make of rows; the tables themselves are tests of sqlite and postgres."""

import pytest

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.members.membership_rows import applied, checked_table, pieces
from cdp_stream.errors import UsageError
from tests.connectors.changes import NOON, change

KEY = ("vip@out", "101")
BOTH = {"email": "a@x.org", "other": "o"}


def after(*changes, rows=None):
    return applied(rows or {}, changes)[KEY]


def test_an_add_makes_a_row():
    row = after(change(ADD, identities=BOTH, attributes={"ltv": 3}, variant=None))
    assert (row.audience_id, row.audience_name, row.variant) == ("vip", "VIP customers", None)
    assert (row.since, row.changed_at, row.message_id) == (NOON, NOON, f"vip:101:{NOON}:0")
    assert (row.identities, row.attributes) == (BOTH, {"ltv": 3})


def test_a_delete_ends_it_whatever_its_identities():
    assert after(change(ADD, identities=BOTH), change(DELETE, identities={"email": "b"})) is None


def test_a_removed_identity_leaves_the_others():
    row = after(
        change(ADD, identities=BOTH),
        change(DELETE, identities={"other": "o"}, kind="identity", at=NOON + 5),
    )
    assert row.identities == {"email": "a@x.org"}
    assert (row.since, row.changed_at) == (NOON, NOON + 5)


def test_the_last_identity_ends_it():
    gone = change(DELETE, identities={"email": "a"}, kind="identity")
    assert after(change(ADD, identities={"email": "a"}), gone) is None


def test_an_identity_that_was_replaced_before_stays():
    old = change(DELETE, identities={"email": "old"}, kind="identity")
    assert after(change(ADD, identities={"email": "new"}), old).identities == {"email": "new"}


def test_a_new_identity_joins_the_others():
    more = change(ADD, identities={"other": "o"}, kind="identity", attributes={"n": 2})
    row = after(change(ADD, identities={"email": "a@x.org"}), more)
    assert (row.identities, row.attributes) == (BOTH, {"n": 2})


def test_an_add_of_the_whole_replaces_what_was_there():
    row = after(
        change(ADD, identities=BOTH), change(ADD, identities={"other": "p"}, kind="activation")
    )
    assert row.identities == {"other": "p"}


def test_attributes_are_all_that_hold_now():
    update = change(ATTRIBUTE_UPDATE, attributes={"b": 2}, kind="attributes", at=NOON + 1)
    row = after(change(ADD, identities=BOTH, attributes={"a": 1}), update)
    assert (row.attributes, row.identities, row.since) == ({"b": 2}, BOTH, NOON)


def test_attributes_of_nobody_make_no_row():
    assert after(change(ATTRIBUTE_UPDATE, attributes={"b": 2}, kind="attributes")) is None


def test_deletions_of_audiences_cut_the_changes():
    add, deletion = change(ADD), change(AUDIENCE_DELETE)
    assert list(pieces([add, deletion, add, add])) == [([add], deletion), ([add, add], None)]
    assert list(pieces([deletion])) == [([], deletion)]
    assert list(pieces([])) == []


@pytest.mark.parametrize("name", ["members", "crm.members", "M_1"])
def test_names_of_tables(name):
    assert checked_table("out", name) == name


@pytest.mark.parametrize("name", ["", "a b", "a;drop", "1a", "a.b.c", 'a"', "x" * 56])
def test_names_that_are_none(name):
    with pytest.raises(UsageError, match="is not a table name"):
        checked_table("out", name)
