"""mParticle's partner protocol, as its SDK's samples have it."""

import hashlib
import json

import pytest
from pydantic import ValidationError

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer, Fault, Outcome
from cdp_stream.connectors.partners.firehose import Firehose, audience_number
from tests.connectors.changes import NOON, change, identity, identity_types
from tests.connectors.conformance import Answered, Case, Expected, Golden, conformance
from tests.partners.converse import converse
from tests.partners.firehose import DEVICE_TYPES, USER_TYPES, Service

TOKEN = "token-of-the-partner"
URL = "https://partner.example.com/firehose"
LIST = '{"partner_list":"list-42"}'
SETTINGS = {"partner_list": "list-42", "region": "eu"}
SPOKEN = {
    "customer_id": "customer",
    "ios_idfv": "ios_vendor_id",
    "android_advertising_id": "google_advertising_id",
    "android_uuid": "android_id",
    **{f"other_id_{n}": f"other{n}" for n in range(2, 11)},
}
EVERY = {one: identity(one, 1) for one in identity_types(Firehose)}


def envelope(kind, message_id, **body):
    return Expected(
        "POST",
        URL,
        {
            "type": kind,
            "id": message_id,
            "timestamp_ms": NOON,
            "firehose_version": "2.8.1",
            "account": {"account_id": 123456, "account_settings": {"region": "eu"}},
            **body,
        },
        {"content-type": "application/json", "authorization": f"Token {TOKEN}"},
    )


def told(action, identities, message_id, attributes=()):
    spoken = [(SPOKEN.get(name, name), value) for name, value in sorted(identities.items())]
    encoded = [{"type": name, "encoding": "raw", "value": value} for name, value in spoken]
    return envelope(
        "audience_membership_change_request",
        message_id,
        user_profiles=[
            {
                "mpid": "101",
                "user_identities": [one for one in encoded if one["type"] in USER_TYPES],
                "device_identities": [one for one in encoded if one["type"] in DEVICE_TYPES],
                "audiences": [
                    {
                        "audience_id": 42,
                        "audience_name": "VIP customers",
                        "audience_subscription_settings": SETTINGS,
                        "action": action,
                        "user_attributes": list(attributes),
                    }
                ],
            }
        ],
    )


SHARED = {"ltv": 12.5, "tags": ["a", 1], "plan": "gold", "vip": True}
UPSERTS = [
    {"key": "ltv", "value": "12.5", "action": "upsert"},
    {"key": "tags", "list_value": ["a", "1"], "action": "upsert"},
    {"key": "plan", "value": "gold", "action": "upsert"},
    {"key": "vip", "value": "true", "action": "upsert"},
]

CASE = Case(
    Firehose,
    {"url": URL, "token": TOKEN, "account_id": 123456, "account_settings": {"region": "eu"}},
    lambda: Service(TOKEN, (42,)),
    lambda identity_type, value: f"{SPOKEN.get(identity_type, identity_type)}:{value}",
    connection={"audience_id": 42, "subscription": {"region": "eu"}},
    list_id=LIST,
    goldens=[
        Golden(
            "add",
            [change(ADD, identities=EVERY, attributes=SHARED)],
            [told("add", EVERY, "18ff03ff-eca5-54bd-9ea5-eb41dcfad2ba", UPSERTS)],
        ),
        Golden(
            "delete",
            [change(DELETE, identities=EVERY)],
            [told("delete", EVERY, "18ff03ff-eca5-54bd-9ea5-eb41dcfad2ba")],
        ),
        Golden(
            "attributes",
            [change(ATTRIBUTE_UPDATE, identities=EVERY, attributes={"plan": "gold"})],
            [told("attribute_update", EVERY, "18ff03ff-eca5-54bd-9ea5-eb41dcfad2ba", [UPSERTS[2]])],
        ),
        Golden(
            "audience deleted",
            [change(AUDIENCE_DELETE)],
            [
                envelope(
                    "audience_subscription_request",
                    "25c21f82-eaf5-5433-98ab-5e40a02f34bb",
                    audience_id=42,
                    audience_name="VIP customers",
                    audience_subscription_settings=SETTINGS,
                    action="remove",
                )
            ],
        ),
    ],
    answers=[
        Answered("accepted", Answer(202), "taken"),
        Answered("bad-request", Answer(400, b"no such profile"), "rejected", words="no such"),
        Answered("not-found", Answer(404), "rejected", words="404"),
        Answered(
            "suspended",
            Answer(200, b'{"suspend_subscription": true}'),
            "connection",
            words="be suspended",
        ),
        Answered("not-suspended", Answer(200, b'{"suspend_subscription": false}'), "taken"),
        Answered("broken", Answer(501), "output", words="501"),
    ],
    most_rows=100,
    rows_in=lambda request: len(json.loads(request.body).get("user_profiles", ())),
    address=lambda url: {"url": url + "/firehose", "allow_private": True},
)

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
    with pytest.raises(ValidationError, match="this is no address of a web server"):
        Firehose.output_settings.model_validate({"url": "ftp://x", "token": TOKEN})
