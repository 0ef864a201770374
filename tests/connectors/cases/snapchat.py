"""What Snapchat is sent, and what its answers come to."""

import hashlib
import json
from dataclasses import replace

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, DELETE
from cdp_stream.connectors.exchange import Answer
from cdp_stream.connectors.partners.snapchat import Snapchat
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden
from tests.partners.snapchat import Snapchat as Partner

SECRET, REFRESH = "secret-0123456789", "refresh-0123456789"
LIST = "5677923948298240"
URL = "https://adsapi.snapchat.com/v1"
VISITOR = {
    "email": " Ann@Example.com",
    "mobile_number": "+44 (7946) 000000",
    "phone_number_2": "0044 7946 000001",
    "phone_number_3": "447946000002",
    "ios_advertising_id": "A6D1F7F0-0D3E-4C7D-9A55-000000000000",
    "android_advertising_id": "c6d1f7f0-0d3e-4c7d-9a55-000000000000",
}
ANN = {"email": "ann@example.com"}


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


TOKEN = Expected("POST", "https://accounts.snapchat.com/login/oauth2/access_token")


def users(method, schema, *values):
    rows = {"schema": [schema], "data": [[sha(value)] for value in values]}
    headers = {"authorization": "Bearer token-1", "content-type": "application/json"}
    return Expected(method, f"{URL}/segments/{LIST}/users", {"users": [rows]}, headers)


def everything(method):
    return [
        users(method, "EMAIL_SHA256", "ann@example.com"),
        users(method, "PHONE_SHA256", "447946000000", "447946000001", "447946000002"),
        users(
            method,
            "MOBILE_AD_ID_SHA256",
            "c6d1f7f0-0d3e-4c7d-9a55-000000000000",
            "a6d1f7f0-0d3e-4c7d-9a55-000000000000",
        ),
    ]


def with_token(*requests):
    form = f"grant_type=refresh_token&client_id=app-1&client_secret={SECRET}"
    return [replace(TOKEN, body=f"{form}&refresh_token={REFRESH}"), *requests]


def answer(status, **body):
    return Answer(status, json.dumps(body).encode())


CASE = Case(
    Snapchat,
    {
        "ad_account_id": "8adc3db7",
        "client_id": "app-1",
        "client_secret": SECRET,
        "refresh_token": REFRESH,
    },
    lambda: Partner("8adc3db7", SECRET, REFRESH, LIST),
    lambda identity_type, value: sha(value.lstrip("+").lower()),
    connection={"list_id": LIST},
    list_id=LIST,
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], with_token(*everything("POST"))),
        Golden("delete", [change(DELETE, identities=VISITOR)], with_token(*everything("DELETE"))),
        Golden(
            "out first, then in",
            [
                change(ADD, identities=ANN),
                change(DELETE, mpid="102", identities={"email": "bob@example.com"}),
            ],
            with_token(
                users("DELETE", "EMAIL_SHA256", "bob@example.com"),
                users("POST", "EMAIL_SHA256", "ann@example.com"),
            ),
        ),
        Golden(
            "update",
            [change(ATTRIBUTE_UPDATE, identities=ANN)],
            with_token(users("POST", "EMAIL_SHA256", "ann@example.com")),
        ),
        Golden(
            "nothing left of it",
            [change(ADD, identities={"mobile_number": "n/a"})],
            [],
            {0: "not in the form of its type"},
        ),
    ],
    answers=[
        Answered("no-such-segment", answer(404, error_code="E1"), "connection", words="list_id"),
        Answered(
            "bad",
            answer(400, request_status="ERROR"),
            "rejected",
            changes=[change(ADD, identities=ANN)],
            words="400",
        ),
        Answered(
            "partial",
            answer(200, request_status="SUCCESS", users=[{"sub_request_status": "ERROR"}]),
            "rejected",
            changes=[change(ADD, identities=ANN)],
            words="ERROR",
        ),
        Answered("unauthorized", answer(401, error_code="E1002"), "output", words="E1002"),
    ],
    most_rows=100_000,
    rows_in=lambda request: (
        len(json.loads(request.body)["users"][0]["data"]) if request.body[:1] == b"{" else 0
    ),
)
