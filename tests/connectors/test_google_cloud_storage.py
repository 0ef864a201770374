"""What objects of a bucket hold, and what the store's answers come to."""

import json

from cdp_stream.connectors.change import ADD, DELETE
from cdp_stream.connectors.exchange import Answer, Outcome
from cdp_stream.connectors.partners.google_cloud_storage import (
    GoogleCloudStorage,
    StorageConnection,
)
from tests.connectors.cases.google_ads import TOKEN
from tests.connectors.changes import NOON, change
from tests.connectors.conformance import Answered, Case, Expected, Golden, conformance
from tests.partners.converse import converse
from tests.partners.google import ACCESS, CLIENT, Bucket, at, refusal

VISITOR = {"email": "ann@example.com", "customer_id": "c-1"}
URL = (
    "https://storage.googleapis.com/upload/storage/v1/b/acme-audiences/o"
    "?uploadType=media&ifGenerationMatch=0&name=daily%2FVIP-customers_vip_20250801_120000_"
)


def line(add, message_id, **identities):
    return (
        json.dumps(
            {
                "IsAddRequest": add,
                "IdentityValues": {**identities, "mpid": "101"},
                "MembershipChangedTimestamp": NOON,
                "MessageId": message_id,
            },
            separators=(",", ":"),
        )
        + "\n"
    )


def golden(name, guid, changes, *lines):
    headers = {"authorization": f"Bearer {ACCESS}", "content-type": "application/x-ndjson"}
    url = f"{URL}{guid}.txt"
    return Golden(name, changes, [TOKEN, Expected("POST", url, "".join(lines), headers)])


GUID = "3304a43d-36ee-54e4-8c46-cbdf4f37b131"
FIRST = f"vip:101:{NOON}:0"
CASE = Case(
    GoogleCloudStorage,
    {**CLIENT, "bucket": "acme-audiences", "prefix": "daily/", "rotate_changes": 5_000},
    Bucket,
    lambda identity_type, value: value,
    goldens=[
        golden(
            "add",
            GUID,
            [change(ADD, identities=VISITOR)],
            line(True, FIRST, customer_id="c-1", email="ann@example.com"),
        ),
        golden(
            "delete",
            GUID,
            [change(DELETE, identities=VISITOR)],
            line(False, FIRST, customer_id="c-1", email="ann@example.com"),
        ),
        golden(
            "two emails",
            GUID,
            [change(ADD, identities=[("customer_id", "c-1"), ("email", "a@b"), ("email", "c@d")])],
            line(True, FIRST, customer_id="c-1", email="a@b"),
            line(True, FIRST, email="c@d"),
        ),
    ],
    answers=[
        Answered("there-already", refusal(412, "conditionNotMet"), "taken"),
        Answered("no-bucket", refusal(404, "notFound"), "output", words="acme-audiences"),
        Answered("rate-as-403", refusal(403, "rateLimitExceeded"), "retry"),
        Answered("bad", Answer(400, b"no"), "output", words="400 no"),
    ],
    address=at,
)

TestConforms = conformance(CASE)


def test_removals_are_left_out_where_the_connection_says_so():
    partner = Bucket()
    settings = StorageConnection(include_deletes=False)
    delete = change(DELETE, identities=VISITOR, settings=settings)
    exchange = CASE.exchange()
    assert converse(exchange, [delete], partner.answer) == Outcome()
    assert exchange.sent == []


def test_settings_say_when_an_object_is_closed():
    connector = CASE.exchange(rotate_changes=10, rotate_after="1m").connector
    assert (connector.gathering.count, connector.gathering.interval_ms) == (10, 60_000)
