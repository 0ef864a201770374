"""What Braze is sent, and what its answers come to."""

from dataclasses import replace

import pytest

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer, Outcome, TryAgain
from cdp_stream.errors import UsageError
from tests.connectors.cases.braze import BOB, CASE, KEY, URL, USERS
from tests.connectors.changes import change
from tests.connectors.conformance import conformance
from tests.partners.braze import Braze as Partner

TestConforms = conformance(CASE)


def test_users_are_made_when_that_is_asked_for():
    partner = Partner(KEY, "external_id", [])
    CASE.delivered(BOB, partner=partner)
    assert partner.users == {}
    CASE.delivered(BOB, partner=partner, settings={"create_missing_users": True})
    assert partner.users == {"c-2": {"In VIP customers": True}}


def test_audiences_may_be_an_array_of_names():
    partner = Partner(KEY, "external_id", ["c-2"])
    other = replace(BOB, audience_name="Buyers", connection="b@out")
    settings = {"membership": "array"}
    CASE.delivered(BOB, other, partner=partner, settings=settings)
    assert partner.users == {"c-2": {"Audiences": ["VIP customers", "Buyers"]}}
    CASE.delivered(replace(BOB, action=DELETE), partner=partner, settings=settings)
    assert partner.users == {"c-2": {"Audiences": ["Buyers"]}}


def test_users_may_be_known_by_phone_and_the_attribute_be_named():
    partner = Partner(KEY, "phone", ["+447946000001"])
    one = change(ADD, identities={"mobile_number": "+44 (7946) 000001", "customer_id": "c-1"})
    CASE.delivered(
        one, partner=partner, settings={"identify_by": "phone"}, connection={"attribute": "is_vip"}
    )
    assert partner.users == {"+447946000001": {"is_vip": True}}


def test_the_retry_waits_for_the_end_of_the_window():
    connector = CASE.exchange().connector
    request = next(connector.deliver([CASE.filled(BOB)]))
    date = "Fri, 01 Aug 2025 12:00:00 GMT"
    later = Answer(429, b"", {"x-ratelimit-reset": "1754049602", "date": date})
    assert connector.classify(request, later) == TryAgain(2.0)
    early = Answer(429, b"", {"x-ratelimit-reset": "1754049600", "date": "?"})
    assert connector.classify(request, early) == TryAgain(None)


def test_attributes_stay_when_an_audience_is_deleted():
    partner = Partner(KEY, "external_id", USERS)
    outcome, exchange = CASE.delivered(change(AUDIENCE_DELETE), partner=partner)
    assert outcome == Outcome()
    assert exchange.sent == []


@pytest.mark.parametrize(
    ("instance", "url"),
    [("fra-02", "https://rest.fra-02.braze.eu/users/track"), ("iad-03", URL)],
)
def test_the_instance_names_the_address(instance, url):
    _, exchange = CASE.delivered(
        BOB, partner=Partner(KEY, "external_id", USERS), settings={"instance": instance}
    )
    assert [request.url for request in exchange.sent] == [url]


def test_an_output_without_an_instance_is_reported_at_once():
    with pytest.raises(UsageError, match="no instance of Braze"):
        CASE.delivered(BOB, partner=Partner(KEY, "external_id", USERS), settings={"instance": None})
