"""What Airship is sent, and what its answers come to."""

import json

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, DELETE
from cdp_stream.connectors.exchange import Answer
from cdp_stream.connectors.partners.airship import Airship
from tests.connectors.changes import change, identity, identity_types
from tests.connectors.conformance import Answered, Case, Expected, Golden
from tests.partners.airship import Airship as Partner

APP, SECRET = "app-key-1", "0123456789abcdef"
URL = "https://go.urbanairship.com/api/named_users/tags"
HEADERS = {
    "authorization": "Basic YXBwLWtleS0xOjAxMjM0NTY3ODlhYmNkZWY=",
    "accept": "application/vnd.urbanairship+json; version=3",
}
VISITOR = {one: identity(one, 0) for one in identity_types(Airship)}
ANN = VISITOR["customer_id"]
BOB = change(ADD, mpid="102", identities={"customer_id": "c-2"})


def tags(verb, *ids):
    body = {"audience": {"named_user_id": list(ids)}, verb: {"audiences": ["VIP customers"]}}
    return Expected("POST", URL, body, HEADERS)


def answer(status, **body):
    return Answer(status, json.dumps(body).encode())


CASE = Case(
    Airship,
    {"app_key": APP, "master_secret": SECRET, "tag_group": "audiences"},
    lambda: Partner(APP, SECRET, "audiences"),
    lambda identity_type, value: value if identity_type == "customer_id" else None,
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], [tags("add", ANN)]),
        Golden("delete", [change(DELETE, identities=VISITOR)], [tags("remove", ANN)]),
        Golden("update", [change(ATTRIBUTE_UPDATE, identities=VISITOR)], [tags("add", ANN)]),
        Golden(
            "out first, then in",
            [BOB, change(DELETE, identities=VISITOR)],
            [tags("remove", ANN), tags("add", "c-2")],
        ),
        Golden("nobody", [change(ADD, identities={"other": "x"})], []),
        Golden(
            "nothing left of it",
            [change(ADD, identities={"customer_id": " "})],
            [],
            {0: "not in the form of its type"},
        ),
    ],
    answers=[
        Answered(
            "no-tag-group",
            answer(400, ok=False, error="The tag group audiences does not exist"),
            "output",
            words="`tag_group`",
        ),
        Answered(
            "a warning",
            answer(200, ok=True, warnings=["The following tag groups are inactive: audiences"]),
            "output",
            words="inactive",
        ),
        Answered("bad", answer(400, ok=False, error="bad id"), "rejected", words="bad id"),
        Answered("too-large", answer(413), "rejected", words="413"),
    ],
    most_rows=1000,
    rows_in=lambda request: len(json.loads(request.body)["audience"]["named_user_id"]),
)
