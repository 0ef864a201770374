"""mParticle's partner protocol, as its SDK's samples have it."""

import json

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer
from cdp_stream.connectors.partners.firehose import Firehose
from tests.connectors.changes import NOON, change, identity, identity_types
from tests.connectors.conformance import Answered, Case, Expected, Golden
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


def request_of(action, identities, message_id, attributes=()):
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
            [request_of("add", EVERY, "18ff03ff-eca5-54bd-9ea5-eb41dcfad2ba", UPSERTS)],
        ),
        Golden(
            "delete",
            [change(DELETE, identities=EVERY)],
            [request_of("delete", EVERY, "18ff03ff-eca5-54bd-9ea5-eb41dcfad2ba")],
        ),
        Golden(
            "attributes",
            [change(ATTRIBUTE_UPDATE, identities=EVERY, attributes={"plan": "gold"})],
            [
                request_of(
                    "attribute_update", EVERY, "18ff03ff-eca5-54bd-9ea5-eb41dcfad2ba", [UPSERTS[2]]
                )
            ],
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
