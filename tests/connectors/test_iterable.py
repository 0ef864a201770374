"""What Iterable is sent, and what its answers come to."""

from dataclasses import replace

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Outcome
from tests.connectors.cases.iterable import BOB, CASE, KEY, LIST, VISITOR
from tests.connectors.changes import change
from tests.connectors.conformance import conformance
from tests.partners.iterable import Iterable as Partner

TestConforms = conformance(CASE)


def test_a_project_may_know_users_by_our_customer_id():
    partner = Partner(KEY, LIST, key="userId")
    CASE.delivered(BOB, partner=partner, settings={"identify_by": "user_id"})
    assert partner.members(str(LIST)) == {"c-2"}


def test_users_are_not_made_when_that_is_not_wanted_and_none_is_missed():
    partner = Partner(KEY, LIST)
    outcome, _ = CASE.delivered(BOB, partner=partner, settings={"create_missing_users": False})
    assert outcome == Outcome()
    assert partner.users == {}


def test_somebody_unknown_who_leaves_is_not_missed():
    outcome, _ = CASE.delivered(replace(BOB, action=DELETE), partner=Partner(KEY, LIST))
    assert outcome == Outcome()


def test_a_list_is_made_once_and_found_by_name_later():
    partner = Partner(KEY)
    CASE.delivered(BOB, partner=partner, connection={})
    CASE.delivered(change(ADD, identities=VISITOR), partner=partner, connection={})
    assert partner.names == {1000: "VIP customers"}
    assert partner.members("1000") == {"ann@example.com", "bob@example.com"}


def test_a_connection_may_have_the_list_deleted():
    partner = Partner(KEY, LIST)
    for _ in range(2):
        assert CASE.delivered(change(AUDIENCE_DELETE), partner=partner)[0] == Outcome()
    assert partner.lists == {}


def test_the_region_names_the_address():
    _, exchange = CASE.delivered(BOB, partner=Partner(KEY, LIST), settings={"region": "eu"})
    assert exchange.sent[0].url == "https://api.eu.iterable.com/api/lists/subscribe"
