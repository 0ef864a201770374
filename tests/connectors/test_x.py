"""What X is told, and what its answers come to."""

import json
from dataclasses import replace
from hashlib import sha256

import pytest

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer, Fault, Outcome, TryAgain
from cdp_stream.connectors.partners.x import X, XConnection
from tests.connectors.changes import change
from tests.connectors.conformance import NOW, Answered, Case, Expected, Golden, conformance
from tests.partners.converse import converse
from tests.partners.partner import json_answer
from tests.partners.x import KEYS, Audiences, error, signature

API = "https://ads-api.x.com/12/accounts/18ce54d4x5t/custom_audiences"
IDFA = "4b61639e-47cc-4056-a16a-c8217e029462"
ADID = "2f5f5391-3e45-4d02-b645-4575a08f8ee6"
VISITOR = {
    "email": " Ann@Example.com",
    "twitter": "@AdsAPI ",
    "mobile_number": "+44 7946 000001",
    "phone_number_2": "00447946100001",
    "phone_number_3": "447946200001",
    "ios_advertising_id": IDFA.upper(),
    "android_advertising_id": ADID,
}


def sha(text):
    return sha256(text.encode()).hexdigest()


USER = {
    "device_id": [sha(ADID), sha(IDFA)],
    "email": [sha("ann@example.com")],
    "phone_number": [sha("+447946000001"), sha("+447946100001"), sha("+447946200001")],
    # X's own example of a hash.
    "handle": ["49e0be2aeccfb51a8dee4c945c8a70a9ac500cf6f5cb08112575f74db9b1470d"],
}


def told(*operations):
    body = [{"operation_type": kind, "params": {"users": [user]}} for kind, user in operations]
    return Expected("POST", f"{API}/tzz1/users", body, {"content-type": "application/json"})


def kept(identity_type, value):
    return sha(value)


def refused(*errors):
    return json_answer(400, {"errors": [], "operation_errors": list(errors)})


WRONG = {"code": "INVALID_PARAMETER", "message": "not hashed"}
CASE = Case(
    X,
    {**KEYS, "account_id": "18ce54d4x5t"},
    lambda: Audiences("18ce54d4x5t", NOW, ("tzz1",)),
    kept,
    connection={"audience_id": "tzz1"},
    list_id="tzz1",
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], [told(("Update", USER))]),
        Golden("delete", [change(DELETE, identities=VISITOR)], [told(("Delete", USER))]),
        Golden(
            "a user's number",
            [change(ADD, identities={"twitter": "143567"})],
            [told(("Update", {"twitter_id": [sha("143567")]}))],
        ),
        Golden(
            "replaced",
            [
                change(ADD, identities={"email": "old@example.com", "twitter": "jack"}),
                change(DELETE, identities={"email": "Old@example.com"}),
                change(ADD, identities={"email": "new@example.com"}),
            ],
            [
                told(
                    ("Update", {"handle": [sha("jack")]}),
                    ("Delete", {"email": [sha("old@example.com")]}),
                    ("Update", {"email": [sha("new@example.com")]}),
                )
            ],
        ),
        Golden(
            "audience deleted",
            [change(AUDIENCE_DELETE)],
            [Expected("DELETE", f"{API}/tzz1")],
        ),
        Golden(
            "nothing to be known by",
            [change(ADD, identities={"email": "@", "twitter": "@"})],
            [],
            rejected={0: "not in the form of its type: email, twitter"},
        ),
    ],
    answers=[
        Answered("one-operation", refused([WRONG]), "rejected", words="not hashed"),
        Answered(
            "the-second",
            refused([], [WRONG]),
            "rejected",
            changes=[
                change(ADD, identities={"email": "a@b.example"}),
                change(ADD, mpid="102", identities={"email": "c@d.example"}),
            ],
            rejected=frozenset({1}),
            words="INVALID_PARAMETER",
        ),
        Answered(
            "not-all",
            json_answer(200, {"success_count": 0, "total_count": 1}),
            "retry",
        ),
        Answered("no-audience", error(404, "NOT_FOUND"), "connection", words="audience_id"),
        Answered("bad", error(400, "TOO_MANY_ITEMS"), "connection", words="TOO_MANY_ITEMS"),
        Answered("account", error(403, "ACCOUNT_NOT_FOUND"), "output", words="ACCOUNT_NOT"),
        Answered("suspended", error(403, "CURRENT_USER_SUSPENDED"), "output"),
        Answered("cancelled", error(408, "CANCELLED_REQUEST"), "retry"),
        Answered("gone", error(404, "NOT_FOUND"), "taken", changes=[change(AUDIENCE_DELETE)]),
        Answered(
            "not-deleted",
            error(400, "AUDIENCE_IN_USE"),
            "connection",
            changes=[change(AUDIENCE_DELETE)],
            words="AUDIENCE_IN_USE",
        ),
    ],
    most_rows=2_500,
    rows_in=lambda request: request.body.count(b'"operation_type"'),
    most_bytes=5_000_000,
)

TestConforms = conformance(CASE)


def test_the_published_signature():
    """docs.x.com/fundamentals/authentication/oauth-1-0a/creating-a-signature."""
    parameters = {
        "status": "Hello Ladies + Gentlemen, a signed OAuth request!",
        "oauth_consumer_key": KEYS["consumer_key"],
        "oauth_nonce": "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg",
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": "1318622958",
        "oauth_token": KEYS["access_token"],
        "oauth_version": "1.0",
    }
    url = "https://api.x.com/1.1/statuses/update.json?include_entities=true"
    assert signature("POST", url, parameters) == "Ls93hJiZbQ3akF3HF3x1Bz8/zU4="
    # The page's former example, of the same request to the former address.
    url = url.replace("api.x.com", "api.twitter.com")
    assert signature("POST", url, parameters) == "hCtSmYh+iHYCEqBWrE7C7hYmtUk="


def test_each_attempt_has_its_own_nonce():
    exchange = CASE.exchange()
    converse(exchange, [CASE.add()], CASE.partner().answer)
    request = exchange.yielded[0]
    said = {
        exchange.connector.authorized(request, now, None).headers["authorization"]
        for now in (NOW, NOW + 1, NOW + 2)
    }
    assert len({one.split('oauth_nonce="')[1][:32] for one in said}) == 3


def made(partner, name="VIP customers"):
    add = change(ADD, name=name, identities={"email": "a@b.example"}, settings=XConnection())
    exchange = CASE.exchange()
    converse(exchange, [add], partner.answer)
    return exchange.lists["vip@out"]


def test_an_audience_is_made_once_and_found_again_on_any_page():
    partner = Audiences("18ce54d4x5t", NOW, ("a", "b", "c"))
    first = made(partner, "Spring & summer / 50% off")
    assert partner.names[first] == "Spring & summer / 50% off"
    assert made(partner, "Spring & summer / 50% off") == first
    assert len(partner.names) == 4
    assert partner.members(first) == {sha("a@b.example")}


def test_an_audience_that_cannot_be_made_is_a_fault_of_the_connection():
    partner = Audiences("18ce54d4x5t", NOW)
    partner.ahead.extend([json_answer(200, {"data": []}), error(400, "NAME_TAKEN")])
    with pytest.raises(Fault, match=r"NAME_TAKEN.*; make one and set audience_id") as raised:
        made(partner)
    assert raised.value.scope == "connection"


def test_an_audience_that_was_never_made_is_deleted_without_a_request():
    exchange = CASE.exchange()
    gone = replace(change(AUDIENCE_DELETE, settings=XConnection()), list_id=None)
    (delivery,) = [exchange.connector.deliver([gone])]
    with pytest.raises(StopIteration) as done:
        next(delivery)
    assert done.value.value == Outcome()


def test_the_rate_is_waited_for_by_the_partners_clock():
    connector = CASE.exchange().connector
    request = Expected("POST", f"{API}/tzz1/users")
    headers = {"date": "Fri, 01 Aug 2025 12:00:00 GMT", "x-rate-limit-reset": "1754049642"}
    assert connector.classify(request, Answer(429, b"", headers)) == TryAgain(42.0)
    assert connector.classify(request, Answer(429, b"", {})) == TryAgain(None)


def test_operations_with_many_identities_come_in_several_requests():
    partner = CASE.partner()
    partner.quota = None
    exchange = CASE.exchange()
    changes = [
        CASE.filled(
            change(
                ADD, mpid=str(n), identities=[("email", f"{n}-{k}@b.example") for k in range(60)]
            )
        )
        for n in range(1_250)
    ]
    assert converse(exchange, changes, partner.answer) == Outcome()
    assert [len(json.loads(one.body)) for one in exchange.sent] == [1200, 50]
    assert len(partner.members("tzz1")) == 75_000
