"""The requests to a Pub/Sub topic, and what its answers mean."""

import json
from base64 import b64encode
from dataclasses import replace

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Outcome
from cdp_stream.connectors.partners.pubsub import PubSub
from tests.connectors.cases.google_ads import TOKEN
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden, conformance
from tests.partners.converse import converse
from tests.partners.google import ACCESS, CLIENT, Topic, at, refusal

VISITOR = {"email": "ann@example.com", "customer_id": "c-1"}


def message(one):
    held = CASE.filled(one)
    return {
        # A message is the record itself.
        "data": b64encode(
            json.dumps(held.message, separators=(",", ":"), ensure_ascii=False).encode()
        ).decode(),
        "attributes": {
            "message_id": held.message_id,
            "action": held.action,
            "audience_id": "vip",
            "connection": "vip@out",
        },
        "orderingKey": held.mpid,
    }


def golden(name, *changes):
    url = "https://pubsub.googleapis.com/v1/projects/acme/topics/audiences:publish"
    headers = {"authorization": f"Bearer {ACCESS}", "content-type": "application/json"}
    body = {"messages": [message(one) for one in changes]}
    return Golden(name, changes, [TOKEN, Expected("POST", url, body, headers)])


CASE = Case(
    PubSub,
    {**CLIENT, "project": "acme", "topic": "audiences"},
    Topic,
    lambda identity_type, value: value,
    goldens=(),
    answers=[
        Answered("no-topic", refusal(404, "NOT_FOUND"), "output", words="topic audiences"),
        Answered("bad", refusal(400, "INVALID_ARGUMENT"), "output", words="INVALID_ARGUMENT"),
        Answered("quota", refusal(429, "RESOURCE_EXHAUSTED"), "retry"),
    ],
    most_rows=1_000,
    rows_in=lambda request: request.body.count(b'"orderingKey"'),
    most_bytes=10_000_000,
    address=at,
)
CASE = replace(
    CASE,
    goldens=[
        golden("add", change(ADD, identities=VISITOR, attributes={"ltv": 12.5, "name": "Zoë"})),
        golden("delete", change(DELETE, identities=VISITOR)),
        golden(
            "two, in order",
            change(ADD, identities=VISITOR),
            change(ATTRIBUTE_UPDATE, identities=VISITOR, attributes={"ltv": 13}, ordinal=1),
        ),
    ],
)

TestConforms = conformance(CASE)


def test_an_audience_deletion_that_is_passed_on_has_no_ordering_key():
    partner = Topic()
    gone = CASE.filled(change(AUDIENCE_DELETE))
    assert converse(CASE.exchange(), [gone], partner.answer) == Outcome()
    (one,) = partner.requests[-1].json()["messages"]
    assert "orderingKey" not in one


def test_large_messages_are_published_in_several_requests():
    partner = Topic()
    changes = [
        CASE.filled(change(ADD, mpid=str(n), attributes={"note": "x" * 100_000}))
        for n in range(200)
    ]
    converse(CASE.exchange(), changes, partner.answer)
    sizes = [len(one.raw) for one in partner.requests if one.path != "/token"]
    assert len(sizes) == 3
    assert max(sizes) <= 10_000_000
    assert len(partner.messages) == 200
