"""mParticle's partner protocol, as its SDK's samples have it."""

import hashlib
import json

import pytest
from pydantic import ValidationError

from cdp_stream.connectors.change import ADD
from cdp_stream.connectors.exchange import Answer, Fault, Outcome
from cdp_stream.connectors.partners.firehose import Firehose, audience_number
from tests.connectors.cases.firehose import CASE, TOKEN
from tests.connectors.changes import NOON, change
from tests.connectors.conformance import conformance
from tests.partners.converse import converse
from tests.partners.firehose import Service

TestConforms = conformance(CASE)


def bodies(exchange):
    return [json.loads(request.body) for request in exchange.sent]


def test_an_audience_is_subscribed_once_after_an_empty_request():
    exchange, service = CASE.exchange(), Service(TOKEN)
    settings = Firehose.connection_settings.model_validate({"subscription": {"region": "eu"}})
    number = audience_number("vip")
    for at in (NOON, NOON + 1):
        one = change(ADD, at=at, identities={"email": "a@x.org"}, settings=settings)
        assert converse(exchange, [one], service.answer) == Outcome()
    empty, subscription, first, second = bodies(exchange)
    assert "user_profiles" not in empty
    assert service.verified == 1
    assert (subscription["action"], subscription["audience_id"]) == ("add", number)
    assert subscription["audience_subscription_settings"] == {"region": "eu"}
    for body in (first, second):
        (audience,) = body["user_profiles"][0]["audiences"]
        wanted = {"region": "eu", "partner_list": f"list-{number}"}
        assert audience["audience_subscription_settings"] == wanted
    assert service.lists == {number: {"email:a@x.org"}}


def test_every_request_has_an_id_of_its_own_and_the_same_again():
    def ids():
        exchange = CASE.exchange()
        changes = [CASE.filled(change(ordinal=n)) for n in range(3)]
        fresh = change(at=NOON + 1, settings=Firehose.connection_settings())
        converse(exchange, changes, Service(TOKEN, (42,)).answer)
        converse(exchange, [fresh], Service(TOKEN, (42,)).answer)
        return [body["id"] for body in bodies(exchange)]

    assert len(set(ids())) == len(ids()) == 6
    assert ids() == ids()


def test_a_refused_subscription_stops_the_connection_alone():
    exchange, service = CASE.exchange(), Service(TOKEN)
    service.ahead += [Answer(200), Answer(400, b"too many audiences")]
    one = change(identities={"email": "a@x.org"}, settings=Firehose.connection_settings())
    with pytest.raises(Fault, match="too many audiences") as caught:
        converse(exchange, [one], service.answer)
    assert caught.value.scope == "connection"


@pytest.mark.parametrize("encoding", ["md5", "sha1", "sha256"])
def test_hashes_are_of_trimmed_text_in_lower_case(encoding):
    exchange = CASE.exchange(encoding=encoding)
    one = CASE.filled(change(identities={"email": " Ann@Example.COM "}))
    converse(exchange, [one], Service(TOKEN, (42,)).answer)
    (told_identity,) = bodies(exchange)[0]["user_profiles"][0]["user_identities"]
    digest = hashlib.new(encoding, b"ann@example.com").hexdigest()
    assert told_identity == {"type": "email", "encoding": encoding, "value": digest}


def test_variants_are_audiences_of_their_own():
    exchange, service = CASE.exchange(), Service(TOKEN)
    plain = Firehose.connection_settings()
    for variant in (None, "A", "B"):
        converse(exchange, [change(variant=variant, settings=plain)], service.answer)
    assert len(service.lists) == 3
    assert all(0 <= number < 2**53 for number in service.lists)


def test_an_address_that_is_none_is_told():
    with pytest.raises(ValidationError, match="this is not the address of a web server"):
        Firehose.output_settings.model_validate({"url": "ftp://x", "token": TOKEN})
