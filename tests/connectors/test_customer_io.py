"""What Customer.io is sent, and what its answers come to."""

import json
from dataclasses import replace

import pytest

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer, Fault, Outcome
from cdp_stream.connectors.partners.customer_io import CustomerIo
from tests.connectors.changes import change, identity
from tests.connectors.conformance import Answered, Case, Expected, Golden, conformance
from tests.partners.converse import converse
from tests.partners.customer_io import CustomerIo as Partner

SITE, KEY = "site-1", "0123456789abcdef"
URL = "https://track.customer.io/api"
HEADERS = {"authorization": "Basic c2l0ZS0xOjAxMjM0NTY3ODlhYmNkZWY="}
PEOPLE = [identity("customer_id", n) for n in range(100)]
VISITOR = {"customer_id": "c-1", "email": "Ann@Example.com"}
BOB = change(ADD, mpid="102", identities={"customer_id": "c-2"})


def batch(*people):
    return Expected("POST", f"{URL}/v2/batch", {"batch": list(people)}, HEADERS)


def person(one, **attributes):
    return {
        "type": "person",
        "action": "identify",
        "identifiers": {"id": one},
        "attributes": {**attributes, "_update": True},
    }


def segment(verb, *ids):
    return Expected("POST", f"{URL}/v1/segments/7/{verb}_customers", {"ids": list(ids)}, HEADERS)


def answer(status, body):
    return Answer(status, json.dumps(body).encode())


IN, OUT = {"In VIP customers": True}, {"In VIP customers": ""}
ERROR = {"batch_index": 0, "reason": "invalid", "field": "id", "message": "id is bad"}

CASE = Case(
    CustomerIo,
    {"site_id": SITE, "api_key": KEY},
    lambda: Partner(SITE, KEY, PEOPLE),
    lambda identity_type, value: value if identity_type == "customer_id" else None,
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], [batch(person("c-1", **IN))]),
        Golden("delete", [change(DELETE, identities=VISITOR)], [batch(person("c-1", **OUT))]),
        Golden(
            "attributes",
            [
                change(
                    ATTRIBUTE_UPDATE,
                    identities=VISITOR,
                    attributes={"ltv": 12.5, "id": "no", "big": 10**30},
                )
            ],
            [batch(person("c-1", ltv=12.5, big=10**30, **IN))],
        ),
        Golden(
            "one bad row",
            [change(ADD, identities={"customer_id": "bad"}), BOB],
            [batch(person("bad", **IN), person("c-2", **IN))],
            {0: "customer_id: invalid id is bad"},
        ),
    ],
    answers=[
        Answered("multi-status", answer(207, {"errors": [ERROR]}), "rejected", words="id is bad"),
        Answered("bad", answer(400, {"meta": {"errors": ["x"]}}), "rejected", words="400"),
        Answered("all-bad", answer(400, {"errors": [ERROR]}), "rejected", words="id is bad"),
        Answered("other", answer(207, {"errors": [{"batch_index": 9}, 1]}), "taken"),
        Answered("bad-key", answer(401, {}), "output", words="Customer.io refused"),
    ],
    most_bytes=500_000,
)

SEGMENT = replace(
    CASE,
    partner=lambda: Partner(SITE, KEY, PEOPLE, 7),
    connection={"list_id": 7},
    list_id="7",
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], [segment("add", "c-1")]),
        Golden("delete", [change(DELETE, identities=VISITOR)], [segment("remove", "c-1")]),
        Golden(
            "attributes",
            [change(ADD, identities=VISITOR, attributes={"ltv": 1})],
            [batch(person("c-1", ltv=1)), segment("add", "c-1")],
        ),
    ],
    answers=[
        Answered("gone", answer(404, {}), "connection", words="list_id"),
        Answered(
            "data-driven",
            answer(400, {"meta": {"errors": ["segment is data-driven"]}}),
            "connection",
            words="data-driven",
        ),
        Answered("bad", answer(400, {"meta": {"errors": ["x"]}}), "rejected", words="400"),
    ],
    most_rows=1000,
    rows_in=lambda request: len(json.loads(request.body)["ids"]),
)

TestConforms = conformance(CASE)
TestSegmentConforms = conformance(SEGMENT)


def told(case, settings, *changes, partner, connection=None):
    if connection is not None:
        case = replace(case, connection=connection, list_id=None)
    case = replace(case, settings={**case.settings, **settings})
    exchange = case.exchange()
    return converse(exchange, [case.filled(one) for one in changes], partner.answer), exchange


def test_people_are_made_when_that_is_asked_for_and_never_to_take_an_attribute_away():
    partner = Partner(SITE, KEY, [])
    told(CASE, {}, BOB, partner=partner)
    gone = replace(BOB, action=DELETE)
    told(CASE, {"create_missing_users": True}, gone, partner=partner)
    assert partner.people == {}
    told(CASE, {"create_missing_users": True}, BOB, partner=partner)
    assert partner.people == {"c-2": IN}


def test_people_are_made_for_a_segment_too():
    partner = Partner(SITE, KEY, [], 7)
    told(SEGMENT, {"create_missing_users": True}, BOB, partner=partner)
    assert partner.members("7") == {"c-2"}


def test_people_may_be_known_by_email_and_the_attribute_be_named():
    partner = Partner(SITE, KEY, ["ann@example.com"], identifier="email")
    one = change(ADD, identities=VISITOR)
    told(CASE, {"identify_by": "email"}, one, partner=partner, connection={"attribute": "vip"})
    assert partner.people == {"ann@example.com": {"vip": True}}


def test_by_email_nobody_could_be_taken_out_of_a_segment():
    with pytest.raises(Fault, match="by `id` alone") as fault:
        told(SEGMENT, {"identify_by": "email"}, BOB, partner=Partner(SITE, KEY, [], 7))
    assert fault.value.scope == "connection"


def test_a_segment_is_made_once_with_a_key_of_the_app_api():
    partner = Partner(SITE, KEY, PEOPLE)
    settings = {"app_api_key": partner.app_key}
    for n in (0, 1):
        one = change(ADD, mpid=str(n), identities={"customer_id": PEOPLE[n]})
        told(CASE, settings, one, partner=partner, connection={})
    assert partner.names == {50: "VIP customers"}
    assert partner.members("50") == set(PEOPLE[:2])


def test_requests_stay_small_however_long_attributes_are():
    partner = Partner(SITE, KEY, PEOPLE)
    changes = [
        change(ADD, mpid=str(n), identities={"customer_id": one}, attributes={"x": "y" * 9_000})
        for n, one in enumerate(PEOPLE)
    ]
    outcome, exchange = told(CASE, {}, *changes, partner=partner)
    assert outcome == Outcome()
    assert [len(request.body) <= 500_000 for request in exchange.sent] == [True, True]
    huge = change(ADD, identities={"customer_id": PEOPLE[0]}, attributes={"x": "y" * 500_000})
    outcome, _ = told(CASE, {}, huge, *changes[1:3], partner=partner)
    assert list(outcome.rejected) == [0]
    assert "take more than 500000 bytes" in outcome.rejected[0]


def test_nothing_is_sent_when_an_audience_is_deleted():
    _, exchange = told(CASE, {}, change(AUDIENCE_DELETE), partner=Partner(SITE, KEY, PEOPLE))
    assert exchange.sent == []
