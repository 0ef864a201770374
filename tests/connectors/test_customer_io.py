"""What Customer.io is sent, and what its answers come to."""

from dataclasses import replace

import pytest

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Fault, Outcome
from tests.connectors.cases.customer_io import BOB, CASE, IN, KEY, PEOPLE, SEGMENT, SITE, VISITOR
from tests.connectors.changes import change
from tests.connectors.conformance import conformance
from tests.partners.customer_io import CustomerIo as Partner

TestConforms = conformance(CASE)
TestSegmentConforms = conformance(SEGMENT)


def test_people_are_made_when_that_is_asked_for_and_never_to_take_an_attribute_away():
    partner = Partner(SITE, KEY, [])
    CASE.delivered(BOB, partner=partner)
    gone = replace(BOB, action=DELETE)
    CASE.delivered(gone, partner=partner, settings={"create_missing_users": True})
    assert partner.people == {}
    CASE.delivered(BOB, partner=partner, settings={"create_missing_users": True})
    assert partner.people == {"c-2": IN}


def test_people_are_made_for_a_segment_too():
    partner = Partner(SITE, KEY, [], 7)
    SEGMENT.delivered(BOB, partner=partner, settings={"create_missing_users": True})
    assert partner.members("7") == {"c-2"}


def test_people_may_be_known_by_email_and_the_attribute_be_named():
    partner = Partner(SITE, KEY, ["ann@example.com"], identifier="email")
    one = change(ADD, identities=VISITOR)
    CASE.delivered(
        one, partner=partner, settings={"identify_by": "email"}, connection={"attribute": "vip"}
    )
    assert partner.people == {"ann@example.com": {"vip": True}}


def test_by_email_nobody_could_be_removed_from_a_segment():
    with pytest.raises(Fault, match="only by `id`") as fault:
        SEGMENT.delivered(BOB, partner=Partner(SITE, KEY, [], 7), settings={"identify_by": "email"})
    assert fault.value.scope == "connection"


def test_a_segment_is_made_once_with_a_key_of_the_app_api():
    partner = Partner(SITE, KEY, PEOPLE)
    settings = {"app_api_key": partner.app_key}
    for n in (0, 1):
        one = change(ADD, mpid=str(n), identities={"customer_id": PEOPLE[n]})
        CASE.delivered(one, partner=partner, settings=settings, connection={})
    assert partner.names == {50: "VIP customers"}
    assert partner.members("50") == set(PEOPLE[:2])


def test_requests_stay_small_however_long_attributes_are():
    partner = Partner(SITE, KEY, PEOPLE)
    changes = [
        change(ADD, mpid=str(n), identities={"customer_id": one}, attributes={"x": "y" * 9_000})
        for n, one in enumerate(PEOPLE)
    ]
    outcome, exchange = CASE.delivered(*changes, partner=partner)
    assert outcome == Outcome()
    assert [len(request.body) <= 500_000 for request in exchange.sent] == [True, True]
    huge = change(ADD, identities={"customer_id": PEOPLE[0]}, attributes={"x": "y" * 500_000})
    outcome, _ = CASE.delivered(huge, *changes[1:3], partner=partner)
    assert list(outcome.rejected) == [0]
    assert "need more than 500000 bytes" in outcome.rejected[0]


def test_nothing_is_sent_when_an_audience_is_deleted():
    _, exchange = CASE.delivered(change(AUDIENCE_DELETE), partner=Partner(SITE, KEY, PEOPLE))
    assert exchange.sent == []
