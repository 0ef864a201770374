"""What a webhook's receiver gets, and what its answers come to."""

import json
from dataclasses import replace

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer
from cdp_stream.connectors.partners.webhook import Webhook
from tests.connectors.changes import change
from tests.connectors.conformance import NOW, Answered, Case, Expected, Golden
from tests.partners.webhook import Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://crm.example.com/changes"
VISITOR = {"email": "ann@example.com", "customer_id": "c-1", "other": "o-1"}


def request_of(*changes):
    connected = [CASE.filled(one) for one in changes]
    body = {"output": "out", "changes": [dict(one.message) for one in connected]}
    return Expected("POST", URL, body, {"content-type": "application/json"})


def golden(name, *changes):
    return Golden(name, changes, [request_of(*changes)])


CASE = Case(
    Webhook,
    {"url": URL, "secret": SECRET},
    lambda: Receiver(SECRET, "out", NOW // 1000),
    lambda identity_type, value: value,
    goldens=(),
    answers=[
        Answered("no-content", Answer(204), "taken"),
        Answered("bad-request", Answer(400, b"mpid is too long"), "rejected", words="mpid is too"),
        Answered("conflict", Answer(409, b"no"), "rejected", words="409 no"),
        Answered("unprocessable", Answer(422), "rejected", words="422"),
        Answered("no-such-page", Answer(404, b"nothing here"), "output", words="check the url"),
        Answered("gone", Answer(410), "output", words="410"),
        Answered("moved", Answer(302), "output", words="302"),
        Answered("no-such-status", Answer(520), "output", words="520"),
    ],
    most_rows=100,
    rows_in=lambda request: len(json.loads(request.body)["changes"]),
    address=lambda url: {"url": url + "/changes", "allow_private": True},
)
CASE = replace(
    CASE,
    goldens=[
        golden("add", change(ADD, identities=VISITOR, attributes={"ltv": 12.5, "tags": ["a"]})),
        golden("delete", change(DELETE, identities=VISITOR)),
        golden("attributes", change(ATTRIBUTE_UPDATE, identities=VISITOR, attributes={"x": 1})),
        golden("audience deleted", change(AUDIENCE_DELETE)),
        golden("two", change(ADD, variant="Control"), change(ADD, audience="b", name="B")),
    ],
)
