"""What Braze is sent, and what its answers come to."""

import json

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, DELETE
from cdp_stream.connectors.exchange import Answer
from cdp_stream.connectors.partners.braze import Braze
from tests.connectors.changes import change, identity
from tests.connectors.conformance import Answered, Case, Expected, Golden
from tests.partners.braze import Braze as Partner

KEY = "0f9e8d7c-rest-key"
URL = "https://rest.iad-03.braze.com/users/track"
USERS = [identity("customer_id", n) for n in range(100)]
VISITOR = {"customer_id": "c-1", "email": "ann@example.com", "mobile_number": "+447946000000"}


def track(*users):
    body = {"attributes": list(users)}
    return Expected("POST", URL, body, {"authorization": f"Bearer {KEY}"})


def user(external_id, **attributes):
    return {"external_id": external_id, "_update_existing_only": True, **attributes}


def error(*indices):
    rows = [{"type": "'x' is bad", "input_array": "attributes", "index": one} for one in indices]
    return json.dumps({"message": "Valid data must be provided", "errors": rows}).encode()


BOB = change(ADD, mpid="102", identities={"customer_id": "c-2"})

CASE = Case(
    Braze,
    {"instance": "iad-03", "api_key": KEY},
    lambda: Partner(KEY, "external_id", USERS),
    lambda identity_type, value: value if identity_type == "customer_id" else None,
    goldens=[
        Golden(
            "add",
            [change(ADD, identities=VISITOR)],
            [track(user("c-1", **{"In VIP customers": True}))],
        ),
        Golden(
            "delete",
            [change(DELETE, identities=VISITOR, attributes={"ltv": 1})],
            [track(user("c-1", **{"In VIP customers": None}))],
        ),
        Golden(
            "attributes",
            [
                change(
                    ATTRIBUTE_UPDATE,
                    identities=VISITOR,
                    attributes={"ltv": 12.5, "tags": ["a"], "big": 10**30, "braze_id": "x"},
                )
            ],
            [track(user("c-1", **{"In VIP customers": True}, ltv=12.5, tags=["a"], big=10**30))],
        ),
        Golden(
            "one object a user",
            [
                change(ADD, identities=VISITOR),
                change(ADD, identities=VISITOR, audience="b", name="Buyers"),
                BOB,
                change(DELETE, identities=VISITOR),
            ],
            [
                track(
                    user("c-1", **{"In Buyers": True, "In VIP customers": None}),
                    user("c-2", **{"In VIP customers": True}),
                )
            ],
        ),
        Golden(
            "one bad row",
            [change(ADD, identities={"customer_id": "bad"}), BOB],
            [
                track(
                    user("bad", **{"In VIP customers": True}),
                    user("c-2", **{"In VIP customers": True}),
                )
            ],
            {0: "is not valid"},
        ),
        Golden("an identity of another kind", [change(ADD, identities={"email": "a@b.de"})], []),
    ],
    answers=[
        Answered("all-bad", Answer(400, error(0)), "rejected", words="customer_id: 'x' is bad"),
        Answered("bad-request", Answer(400, b'{"message":"?"}'), "rejected", words="400"),
        Answered("minor-error", Answer(201, error(0)), "rejected", words="'x' is bad"),
        Answered("error-elsewhere", Answer(201, error(7, -1)), "taken"),
        Answered("bad-key", Answer(401, b'{"message":"no"}'), "output", words="Braze refused"),
    ],
    most_rows=75,
    rows_in=lambda request: len(json.loads(request.body)["attributes"]),
)
