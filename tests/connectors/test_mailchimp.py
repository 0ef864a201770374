"""What Mailchimp is sent, and what its answers come to."""

from dataclasses import replace

import pytest

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.errors import UsageError
from tests.connectors.cases.mailchimp import CASE, KEY, LIST, URIST, URL, ann
from tests.connectors.changes import change
from tests.connectors.conformance import conformance
from tests.partners.mailchimp import Mailchimp as Partner

TestConforms = conformance(CASE)


PLAIN = {"list_id": LIST}


def test_double_opt_in_asks_when_they_join_and_not_when_an_attribute_changes():
    settings = {"double_opt_in": True}
    partner = Partner(KEY, LIST)
    CASE.delivered(ann(), partner=partner, settings=settings, connection=PLAIN)
    assert partner.lists[LIST]["ann@example.com"]["status"] == "pending"
    partner.lists[LIST]["ann@example.com"]["status"] = "subscribed"
    moved = ann(ATTRIBUTE_UPDATE, attributes={"city": "Rome"})
    CASE.delivered(moved, partner=partner, settings=settings, connection=PLAIN)
    assert partner.lists[LIST]["ann@example.com"] == {
        "status": "subscribed",
        "merge_fields": {"CITY": "Rome"},
    }


def test_double_opt_in_of_an_add_and_an_update_together_asks_once():
    partner, changes = Partner(KEY, LIST), (ann(), ann(ATTRIBUTE_UPDATE))
    settings = {"double_opt_in": True}
    _, exchange = CASE.delivered(*changes, partner=partner, settings=settings, connection=PLAIN)
    assert partner.lists[LIST]["ann@example.com"]["status"] == "pending"
    assert len(exchange.sent) == 1


def test_archiving_takes_contacts_out_one_by_one_and_twice_does_no_harm():
    partner = Partner(KEY, LIST)
    urist = change(ADD, identities={"email": "Urist.McVankab@freddiesjokes.com"})
    CASE.delivered(urist, partner=partner, connection=PLAIN)
    for _ in range(2):
        outcome, exchange = CASE.delivered(
            replace(urist, action=DELETE),
            partner=partner,
            settings={"on_leave": "archive"},
            connection=PLAIN,
        )
        assert outcome == Outcome()
        assert [request.url for request in exchange.sent] == [f"{URL}/members/{URIST}"]
    assert partner.lists[LIST] == {}


def test_a_person_who_unsubscribed_is_rejected_alone():
    partner = Partner(KEY, LIST)
    partner.unwanted = {"ann@example.com"}
    bob = change(ADD, mpid="102", identities={"email": "bob@example.com"})
    outcome, _ = CASE.delivered(ann(), bob, partner=partner, connection=PLAIN)
    assert list(outcome.rejected) == [0]
    assert "compliance" in outcome.rejected[0]
    assert partner.members(LIST) == {"bob@example.com"}


NEW_LIST = {
    "company": "Acme",
    "address1": "1 Main St",
    "city": "Atlanta",
    "state": "GA",
    "zip": "30308",
    "country": "US",
    "from_name": "Acme",
    "from_email": "hello@acme.example",
    "permission_reminder": "You are a customer.",
}


def test_an_audience_is_made_once_and_found_by_name_later():
    partner = Partner(KEY)
    settings = {"new_list": NEW_LIST}
    CASE.delivered(ann(), partner=partner, settings=settings, connection={})
    bob = change(ADD, mpid="102", identities={"email": "bob@example.com"})
    CASE.delivered(bob, partner=partner, settings=settings, connection={})
    assert partner.names == {"new0": "VIP customers"}
    assert partner.members("new0") == {"ann@example.com", "bob@example.com"}


def test_without_a_list_the_connection_says_what_is_missing():
    with pytest.raises(Fault, match="set its `list_id`, or `new_list`") as fault:
        CASE.delivered(ann(), partner=Partner(KEY, LIST), connection={})
    assert fault.value.scope == "connection"


def test_a_connection_may_have_the_audience_deleted():
    partner = Partner(KEY, LIST)
    for _ in range(2):
        gone = change(AUDIENCE_DELETE)
        outcome, _ = CASE.delivered(gone, partner=partner, connection=PLAIN)
        assert outcome == Outcome()
    assert partner.lists == {}


def test_a_key_without_a_data_centre_is_reported_at_once():
    with pytest.raises(UsageError, match="names no data centre"):
        CASE.delivered(
            ann(),
            partner=Partner(KEY, LIST),
            settings={"api_key": "0123456789abcdef"},
            connection=PLAIN,
        )
