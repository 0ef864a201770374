"""What Braze is sent, and what its answers come to."""

import json
from dataclasses import replace

import pytest

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer, Outcome, TryAgain
from cdp_stream.connectors.partners.braze import Braze
from cdp_stream.errors import UsageError
from tests.connectors.changes import change, identity
from tests.connectors.conformance import Answered, Case, Expected, Golden, conformance
from tests.partners.braze import Braze as Partner
from tests.partners.converse import converse

KEY = "0f9e8d7c-rest-key"
URL = "https://rest.iad-03.braze.com/users/track"
USERS = [identity("customer_id", n) for n in range(100)]
VISITOR = {"customer_id": "c-1", "email": "ann@example.com", "mobile_number": "+447946000000"}


def track(*users):
    body = {"attributes": list(users)}
    return Expected("POST", URL, body, {"authorization": f"Bearer {KEY}"})


def user(external_id, **attributes):
    return {"external_id": external_id, "_update_existing_only": True, **attributes}


def error(*indices):
    rows = [{"type": "'x' is bad", "input_array": "attributes", "index": one} for one in indices]
    return json.dumps({"message": "Valid data must be provided", "errors": rows}).encode()


BOB = change(ADD, mpid="102", identities={"customer_id": "c-2"})

CASE = Case(
    Braze,
    {"instance": "iad-03", "api_key": KEY},
    lambda: Partner(KEY, "external_id", USERS),
    lambda identity_type, value: value if identity_type == "customer_id" else None,
    goldens=[
        Golden(
            "add",
            [change(ADD, identities=VISITOR)],
            [track(user("c-1", **{"In VIP customers": True}))],
        ),
        Golden(
            "delete",
            [change(DELETE, identities=VISITOR, attributes={"ltv": 1})],
            [track(user("c-1", **{"In VIP customers": None}))],
        ),
        Golden(
            "attributes",
            [
                change(
                    ATTRIBUTE_UPDATE,
                    identities=VISITOR,
                    attributes={"ltv": 12.5, "tags": ["a"], "big": 10**30, "braze_id": "x"},
                )
            ],
            [track(user("c-1", **{"In VIP customers": True}, ltv=12.5, tags=["a"], big=10**30))],
        ),
        Golden(
            "one object a user",
            [
                change(ADD, identities=VISITOR),
                change(ADD, identities=VISITOR, audience="b", name="Buyers"),
                BOB,
                change(DELETE, identities=VISITOR),
            ],
            [
                track(
                    user("c-1", **{"In Buyers": True, "In VIP customers": None}),
                    user("c-2", **{"In VIP customers": True}),
                )
            ],
        ),
        Golden(
            "one bad row",
            [change(ADD, identities={"customer_id": "bad"}), BOB],
            [
                track(
                    user("bad", **{"In VIP customers": True}),
                    user("c-2", **{"In VIP customers": True}),
                )
            ],
            {0: "is not valid"},
        ),
        Golden("an identity of another kind", [change(ADD, identities={"email": "a@b.de"})], []),
    ],
    answers=[
        Answered("all-bad", Answer(400, error(0)), "rejected", words="customer_id: 'x' is bad"),
        Answered("bad-request", Answer(400, b'{"message":"?"}'), "rejected", words="400"),
        Answered("minor-error", Answer(201, error(0)), "rejected", words="'x' is bad"),
        Answered("error-elsewhere", Answer(201, error(7, -1)), "taken"),
        Answered("bad-key", Answer(401, b'{"message":"no"}'), "output", words="Braze refused"),
    ],
    most_rows=75,
    rows_in=lambda request: len(json.loads(request.body)["attributes"]),
)

TestConforms = conformance(CASE)


def told(settings, *changes, partner, connection=None):
    case = replace(CASE, settings={**CASE.settings, **settings}, connection=connection or {})
    exchange = case.exchange()
    return converse(exchange, [case.filled(one) for one in changes], partner.answer), exchange


def test_users_are_made_when_that_is_asked_for():
    partner = Partner(KEY, "external_id", [])
    told({}, BOB, partner=partner)
    assert partner.users == {}
    told({"create_missing_users": True}, BOB, partner=partner)
    assert partner.users == {"c-2": {"In VIP customers": True}}


def test_audiences_may_be_an_array_of_names():
    partner = Partner(KEY, "external_id", ["c-2"])
    other = replace(BOB, audience_name="Buyers", connection="b@out")
    settings = {"membership": "array"}
    told(settings, BOB, other, partner=partner)
    assert partner.users == {"c-2": {"Audiences": ["VIP customers", "Buyers"]}}
    told(settings, replace(BOB, action=DELETE), partner=partner)
    assert partner.users == {"c-2": {"Audiences": ["Buyers"]}}


def test_users_may_be_known_by_phone_and_the_attribute_be_named():
    partner = Partner(KEY, "phone", ["+447946000001"])
    one = change(ADD, identities={"mobile_number": "+44 (7946) 000001", "customer_id": "c-1"})
    told({"identify_by": "phone"}, one, partner=partner, connection={"attribute": "is_vip"})
    assert partner.users == {"+447946000001": {"is_vip": True}}


def test_when_to_try_again_is_told_by_the_end_of_the_window():
    connector = CASE.exchange().connector
    request = next(connector.deliver([CASE.filled(BOB)]))
    date = "Fri, 01 Aug 2025 12:00:00 GMT"
    later = Answer(429, b"", {"x-ratelimit-reset": "1754049602", "date": date})
    assert connector.classify(request, later) == TryAgain(2.0)
    early = Answer(429, b"", {"x-ratelimit-reset": "1754049600", "date": "?"})
    assert connector.classify(request, early) == TryAgain(None)


def test_attributes_stay_when_an_audience_is_deleted():
    partner = Partner(KEY, "external_id", USERS)
    outcome, exchange = told({}, change(AUDIENCE_DELETE), partner=partner)
    assert outcome == Outcome()
    assert exchange.sent == []


@pytest.mark.parametrize(
    ("instance", "url"),
    [("fra-02", "https://rest.fra-02.braze.eu/users/track"), ("iad-03", URL)],
)
def test_the_instance_names_the_address(instance, url):
    _, exchange = told({"instance": instance}, BOB, partner=Partner(KEY, "external_id", USERS))
    assert [request.url for request in exchange.sent] == [url]


def test_an_output_without_an_instance_is_told_at_once():
    with pytest.raises(UsageError, match="no instance of Braze"):
        told({"instance": None}, BOB, partner=Partner(KEY, "external_id", USERS))
