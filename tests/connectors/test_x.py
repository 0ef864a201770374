"""The requests to X, and what its answers mean."""

import json
from dataclasses import replace

import pytest

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE
from cdp_stream.connectors.exchange import Answer, Fault, Outcome, TryAgain
from cdp_stream.connectors.partners.x import XConnection
from tests.connectors.cases.x import API, CASE, sha
from tests.connectors.changes import change
from tests.connectors.conformance import NOW, Expected, conformance
from tests.partners.converse import converse
from tests.partners.partner import json_answer
from tests.partners.x import KEYS, Audiences, error, signature

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
