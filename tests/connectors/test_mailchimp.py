"""What Mailchimp is sent, and what its answers come to."""

import json
from dataclasses import replace

import pytest

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer, Fault, Outcome
from cdp_stream.connectors.partners.mailchimp import Mailchimp
from cdp_stream.errors import UsageError
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden, conformance
from tests.partners.converse import converse
from tests.partners.mailchimp import Mailchimp as Partner

KEY = "0123456789abcdef-us6"
LIST = "a1b2c3d4e5"
URL = f"https://us6.api.mailchimp.com/3.0/lists/{LIST}"
AUTHORIZATION = "Basic Y2RwLXN0cmVhbTowMTIzNDU2Nzg5YWJjZGVmLXVzNg=="
URIST = "62eeb292278cc15f5817cb78f7790b08"  # of urist.mcvankab@freddiesjokes.com, Mailchimp's own


def batch(*members):
    body = {"members": list(members), "update_existing": True}
    return Expected(
        "POST", f"{URL}?skip_merge_validation=true", body, {"authorization": AUTHORIZATION}
    )


def contact(email, **fields):
    return {"email_address": email, "email_type": "html", "status": "subscribed", **fields}


def ann(action=ADD, **fields):
    return change(action, identities={"email": "ann@example.com"}, **fields)


CASE = Case(
    Mailchimp,
    {"api_key": KEY},
    lambda: Partner(KEY, LIST),
    lambda identity_type, value: value,
    connection={"list_id": LIST, "merge_fields": {"first_name": "FNAME"}},
    list_id=LIST,
    goldens=[
        Golden("add", [ann()], [batch(contact("ann@example.com"))]),
        Golden(
            "merge-fields",
            [
                ann(
                    ATTRIBUTE_UPDATE,
                    attributes={
                        "first_name": "Ann",
                        "ltv": 12.5,
                        "vip": True,
                        "tags": ["a", 1],
                        "much_too_long_for_a_tag": 1,
                        "no tag": 1,
                    },
                )
            ],
            [
                batch(
                    contact(
                        "ann@example.com",
                        merge_fields={"FNAME": "Ann", "LTV": 12.5, "VIP": "true", "TAGS": "a, 1"},
                    )
                )
            ],
        ),
        Golden(
            "delete",
            [ann(DELETE)],
            [batch({"email_address": "ann@example.com", "status": "unsubscribed"})],
        ),
        Golden(
            "the last word counts",
            [
                change(ADD, identities={"email": " Ann@Example.com"}),
                change(ADD, mpid="102", identities={"email": "bob@example.com"}),
                change(DELETE, identities={"email": "ann@example.com"}),
            ],
            [
                batch(
                    contact("bob@example.com"),
                    {"email_address": "ann@example.com", "status": "unsubscribed"},
                )
            ],
        ),
        Golden(
            "one bad row",
            [
                change(ADD, identities={"email": "no address"}),
                change(ADD, mpid="102", identities={"email": "bob@example.com"}),
            ],
            [batch(contact("no address"), contact("bob@example.com"))],
            {0: "email: ERROR_GENERIC This email address looks invalid."},
        ),
    ],
    answers=[
        Answered("bare-403", Answer(403, b"<html>Forbidden</html>"), "retry"),
        Answered("forbidden", Answer(403, b'{"title":"User Disabled"}'), "output", words="User"),
        Answered("no-such-list", Answer(404, b'{"title":"x"}'), "connection", words="list_id"),
        Answered("bad-row", Answer(400, b'{"title":"Invalid"}'), "rejected", words="Invalid"),
        Answered("not-json", Answer(200, b"ok"), "taken"),
    ],
    most_rows=500,
    rows_in=lambda request: len(json.loads(request.body)["members"]),
    usual={403: "retry"},
)

TestConforms = conformance(CASE)


def told(settings, connection, *changes, partner=None):
    """What the partner holds after changes, and what was rejected."""
    case = replace(
        CASE,
        settings={**CASE.settings, **settings},
        connection=connection,
        list_id=connection.get("list_id"),
    )
    partner = partner or Partner(KEY, LIST)
    exchange = case.exchange()
    outcome = converse(exchange, [case.filled(one) for one in changes], partner.answer)
    return partner, outcome, exchange


def test_double_opt_in_asks_when_they_join_and_not_when_an_attribute_changes():
    settings = {"double_opt_in": True}
    partner, _, _ = told(settings, {"list_id": LIST}, ann())
    assert partner.lists[LIST]["ann@example.com"]["status"] == "pending"
    partner.lists[LIST]["ann@example.com"]["status"] = "subscribed"
    told(
        settings,
        {"list_id": LIST},
        ann(ATTRIBUTE_UPDATE, attributes={"city": "Rome"}),
        partner=partner,
    )
    assert partner.lists[LIST]["ann@example.com"] == {
        "status": "subscribed",
        "merge_fields": {"CITY": "Rome"},
    }


def test_double_opt_in_of_an_add_and_an_update_together_asks_once():
    partner, _, exchange = told(
        {"double_opt_in": True}, {"list_id": LIST}, ann(), ann(ATTRIBUTE_UPDATE)
    )
    assert partner.lists[LIST]["ann@example.com"]["status"] == "pending"
    assert len(exchange.sent) == 1


def test_archiving_takes_contacts_out_one_by_one_and_twice_does_no_harm():
    partner = Partner(KEY, LIST)
    urist = change(ADD, identities={"email": "Urist.McVankab@freddiesjokes.com"})
    told({}, {"list_id": LIST}, urist, partner=partner)
    for _ in range(2):
        _, outcome, exchange = told(
            {"on_leave": "archive"},
            {"list_id": LIST},
            replace(urist, action=DELETE),
            partner=partner,
        )
        assert outcome == Outcome()
        assert [request.url for request in exchange.sent] == [f"{URL}/members/{URIST}"]
    assert partner.lists[LIST] == {}


def test_a_person_who_unsubscribed_is_rejected_alone():
    partner = Partner(KEY, LIST)
    partner.unwanted = {"ann@example.com"}
    bob = change(ADD, mpid="102", identities={"email": "bob@example.com"})
    _, outcome, _ = told({}, {"list_id": LIST}, ann(), bob, partner=partner)
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
    told({"new_list": NEW_LIST}, {}, ann(), partner=partner)
    bob = change(ADD, mpid="102", identities={"email": "bob@example.com"})
    told({"new_list": NEW_LIST}, {}, bob, partner=partner)
    assert partner.names == {"new0": "VIP customers"}
    assert partner.members("new0") == {"ann@example.com", "bob@example.com"}


def test_without_a_list_the_connection_says_what_is_missing():
    with pytest.raises(Fault, match="set its `list_id`, or `new_list`") as fault:
        told({}, {}, ann())
    assert fault.value.scope == "connection"


def test_a_connection_may_have_the_audience_deleted():
    partner = Partner(KEY, LIST)
    for _ in range(2):
        _, outcome, _ = told({}, {"list_id": LIST}, change(AUDIENCE_DELETE), partner=partner)
        assert outcome == Outcome()
    assert partner.lists == {}


def test_a_key_without_a_data_centre_is_told_at_once():
    with pytest.raises(UsageError, match="names no data centre"):
        told({"api_key": "0123456789abcdef"}, {"list_id": LIST}, ann())
