"""What Customer.io is sent, and what its answers come to."""

import json
from dataclasses import replace

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, DELETE
from cdp_stream.connectors.exchange import Answer
from cdp_stream.connectors.partners.customer_io import CustomerIo
from tests.connectors.changes import change, identity
from tests.connectors.conformance import Answered, Case, Expected, Golden
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
