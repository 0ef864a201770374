"""The requests to X, and what its answers mean."""

from hashlib import sha256

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.partners.x import X
from tests.connectors.changes import change
from tests.connectors.conformance import NOW, Answered, Case, Expected, Golden
from tests.partners.partner import json_answer
from tests.partners.x import KEYS, Audiences, error

API = "https://ads-api.x.com/12/accounts/18ce54d4x5t/custom_audiences"
IDFA = "4b61639e-47cc-4056-a16a-c8217e029462"
ADID = "2f5f5391-3e45-4d02-b645-4575a08f8ee6"
VISITOR = {
    "email": " Ann@Example.com",
    "twitter": "@AdsAPI ",
    "mobile_number": "+44 7946 000001",
    "phone_number_2": "00447946100001",
    "phone_number_3": "447946200001",
    "ios_advertising_id": IDFA.upper(),
    "android_advertising_id": ADID,
}


def sha(text):
    return sha256(text.encode()).hexdigest()


USER = {
    "device_id": [sha(ADID), sha(IDFA)],
    "email": [sha("ann@example.com")],
    "phone_number": [sha("+447946000001"), sha("+447946100001"), sha("+447946200001")],
    # X's own example of a hash.
    "handle": ["49e0be2aeccfb51a8dee4c945c8a70a9ac500cf6f5cb08112575f74db9b1470d"],
}


def request_of(*operations):
    body = [{"operation_type": kind, "params": {"users": [user]}} for kind, user in operations]
    return Expected("POST", f"{API}/tzz1/users", body, {"content-type": "application/json"})


def kept(identity_type, value):
    return sha(value)


def refused(*errors):
    return json_answer(400, {"errors": [], "operation_errors": list(errors)})


WRONG = {"code": "INVALID_PARAMETER", "message": "not hashed"}
CASE = Case(
    X,
    {**KEYS, "account_id": "18ce54d4x5t"},
    lambda: Audiences("18ce54d4x5t", NOW, ("tzz1",)),
    kept,
    connection={"audience_id": "tzz1"},
    list_id="tzz1",
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], [request_of(("Update", USER))]),
        Golden("delete", [change(DELETE, identities=VISITOR)], [request_of(("Delete", USER))]),
        Golden(
            "a user's number",
            [change(ADD, identities={"twitter": "143567"})],
            [request_of(("Update", {"twitter_id": [sha("143567")]}))],
        ),
        Golden(
            "replaced",
            [
                change(ADD, identities={"email": "old@example.com", "twitter": "jack"}),
                change(DELETE, identities={"email": "Old@example.com"}),
                change(ADD, identities={"email": "new@example.com"}),
            ],
            [
                request_of(
                    ("Update", {"handle": [sha("jack")]}),
                    ("Delete", {"email": [sha("old@example.com")]}),
                    ("Update", {"email": [sha("new@example.com")]}),
                )
            ],
        ),
        Golden(
            "audience deleted",
            [change(AUDIENCE_DELETE)],
            [Expected("DELETE", f"{API}/tzz1")],
        ),
        Golden(
            "nothing to be known by",
            [change(ADD, identities={"email": "@", "twitter": "@"})],
            [],
            rejected={0: "not in the form of its type: email, twitter"},
        ),
    ],
    answers=[
        Answered("one-operation", refused([WRONG]), "rejected", words="not hashed"),
        Answered(
            "the-second",
            refused([], [WRONG]),
            "rejected",
            changes=[
                change(ADD, identities={"email": "a@b.example"}),
                change(ADD, mpid="102", identities={"email": "c@d.example"}),
            ],
            rejected=frozenset({1}),
            words="INVALID_PARAMETER",
        ),
        Answered(
            "not-all",
            json_answer(200, {"success_count": 0, "total_count": 1}),
            "retry",
        ),
        Answered("no-audience", error(404, "NOT_FOUND"), "connection", words="audience_id"),
        Answered("bad", error(400, "TOO_MANY_ITEMS"), "connection", words="TOO_MANY_ITEMS"),
        Answered("account", error(403, "ACCOUNT_NOT_FOUND"), "output", words="ACCOUNT_NOT"),
        Answered("suspended", error(403, "CURRENT_USER_SUSPENDED"), "output"),
        Answered("cancelled", error(408, "CANCELLED_REQUEST"), "retry"),
        Answered("gone", error(404, "NOT_FOUND"), "taken", changes=[change(AUDIENCE_DELETE)]),
        Answered(
            "not-deleted",
            error(400, "AUDIENCE_IN_USE"),
            "connection",
            changes=[change(AUDIENCE_DELETE)],
            words="AUDIENCE_IN_USE",
        ),
    ],
    most_rows=2_500,
    rows_in=lambda request: request.body.count(b'"operation_type"'),
    most_bytes=5_000_000,
)
