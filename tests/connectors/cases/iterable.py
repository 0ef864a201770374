"""What Iterable is sent, and what its answers come to."""

import json

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, DELETE
from cdp_stream.connectors.exchange import Answer
from cdp_stream.connectors.partners.iterable import Iterable
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden
from tests.partners.iterable import Iterable as Partner

KEY = "it-0123456789abcdef"
LIST = 774
URL = "https://api.iterable.com/api/lists"
VISITOR = {"customer_id": "c-1", "email": "Ann@Example.com"}
BOB = change(ADD, mpid="102", identities={"email": "bob@example.com", "customer_id": "c-2"})


def subscribe(*users):
    body = {"listId": LIST, "subscribers": list(users), "updateExistingUsersOnly": False}
    return Expected("POST", f"{URL}/subscribe", body, {"api-key": KEY})


def unsubscribe(*users):
    body = {"listId": LIST, "subscribers": list(users), "channelUnsubscribe": False}
    return Expected("POST", f"{URL}/unsubscribe", body, {"api-key": KEY})


def answer(status, **body):
    return Answer(status, json.dumps(body).encode())


CASE = Case(
    Iterable,
    {"api_key": KEY},
    lambda: Partner(KEY, LIST),
    lambda identity_type, value: value if identity_type == "email" else None,
    connection={"list_id": LIST},
    list_id=str(LIST),
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], [subscribe({"email": "ann@example.com"})]),
        Golden(
            "delete",
            [change(DELETE, identities=VISITOR, attributes={"ltv": 1})],
            [unsubscribe({"email": "ann@example.com"})],
        ),
        Golden(
            "attributes",
            [change(ATTRIBUTE_UPDATE, identities=VISITOR, attributes={"ltv": 12.5, "tags": []})],
            [subscribe({"email": "ann@example.com", "dataFields": {"ltv": 12.5, "tags": []}})],
        ),
        Golden(
            "out first, then in",
            [BOB, change(DELETE, identities=VISITOR)],
            [unsubscribe({"email": "ann@example.com"}), subscribe({"email": "bob@example.com"})],
        ),
        Golden(
            "one bad row",
            [change(ADD, identities={"email": "no address"}), BOB],
            [subscribe({"email": "no address"}, {"email": "bob@example.com"})],
            {0: "email: invalidEmails"},
        ),
    ],
    answers=[
        Answered(
            "unknown-list",
            answer(400, code="BadParams", msg="List not found"),
            "connection",
            words="list_id",
        ),
        Answered("gone", answer(404, code="NotFound"), "connection", words="774"),
        Answered("too-large", answer(400, code="BatchTooLarge", msg="?"), "rejected"),
        Answered("bad-key", answer(401, code="BadApiKey"), "output", words="BadApiKey"),
        Answered(
            "forgotten",
            answer(200, failedUpdates={"forgottenEmails": ["EMAIL-00@example.com", "x"]}),
            "rejected",
            changes=[change(ADD, identities={"email": "email-00@example.com"})],
            words="forgottenEmails",
        ),
        Answered("throttled", answer(429, code="RateLimitExceeded"), "retry"),
    ],
    most_rows=1000,
    rows_in=lambda request: len(json.loads(request.body)["subscribers"]),
)
