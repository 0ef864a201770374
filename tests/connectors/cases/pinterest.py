"""What Pinterest is sent, and what its answers come to."""

import hashlib
import json

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, DELETE
from cdp_stream.connectors.exchange import Answer
from cdp_stream.connectors.partners.pinterest import Pinterest
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden
from tests.partners.pinterest import Pinterest as Partner

SECRET, REFRESH = "secret-0123456789", "refresh-0123456789"
LIST = "643"
URL = "https://api.pinterest.com/v5"
VISITOR = {
    "email": " Ann@Example.com",
    "ios_advertising_id": "A6D1F7F0-0D3E-4C7D-9A55-000000000000",
    "android_advertising_id": "c6d1f7f0-0d3e-4c7d-9a55-000000000000",
}
KEPT = (
    "c6d1f7f0-0d3e-4c7d-9a55-000000000000",
    "ann@example.com",
    "a6d1f7f0-0d3e-4c7d-9a55-000000000000",
)
ANN = {"email": "ann@example.com"}
TOKEN = Expected(
    "POST",
    f"{URL}/oauth/token",
    f"grant_type=refresh_token&refresh_token={REFRESH}",
    {"authorization": "Basic MTIzNDpzZWNyZXQtMDEyMzQ1Njc4OQ=="},
)


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def patch(operation, *values):
    body = {"operation_type": operation, "records": ",".join(map(sha, values))}
    url = f"{URL}/ad_accounts/549755885175/customer_lists/{LIST}"
    return Expected("PATCH", url, body, {"authorization": "Bearer token-1"})


def answer(status, **body):
    return Answer(status, json.dumps(body).encode())


CASE = Case(
    Pinterest,
    {
        "ad_account_id": "549755885175",
        "app_id": "1234",
        "app_secret": SECRET,
        "refresh_token": REFRESH,
    },
    lambda: Partner("549755885175", SECRET, REFRESH, LIST),
    lambda identity_type, value: sha(value.lower()),
    connection={"list_id": LIST},
    list_id=LIST,
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], [TOKEN, patch("ADD", *KEPT)]),
        Golden("delete", [change(DELETE, identities=VISITOR)], [TOKEN, patch("REMOVE", *KEPT)]),
        Golden(
            "out first, then in",
            [
                change(ADD, identities=ANN),
                change(DELETE, mpid="102", identities={"email": "bob@example.com"}),
            ],
            [TOKEN, patch("REMOVE", "bob@example.com"), patch("ADD", "ann@example.com")],
        ),
        Golden(
            "update",
            [change(ATTRIBUTE_UPDATE, identities=ANN)],
            [TOKEN, patch("ADD", "ann@example.com")],
        ),
    ],
    answers=[
        Answered("no-such-list", answer(404, code=1903), "connection", words="list_id"),
        Answered(
            "bad",
            answer(400, code=1, message="bad"),
            "rejected",
            changes=[change(ADD, identities=ANN)],
            words="bad",
        ),
        Answered("too-often", answer(429, code=8), "retry"),
        Answered("unauthorized", answer(401, code=2), "output", words="Pinterest refused"),
    ],
    most_rows=10_000,
    rows_in=lambda request: (
        json.loads(request.body)["records"].count(",") + 1 if request.body[:1] == b"{" else 0
    ),
)
