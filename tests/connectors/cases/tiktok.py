"""What TikTok is sent, and what its answers come to."""

import hashlib
import json

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer
from cdp_stream.connectors.partners.tiktok import TikTok
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden
from tests.partners.tiktok import TikTok as Partner

TOKEN = "0123456789abcdef"
LIST = "169876"
URL = "https://business-api.tiktok.com/open_api/v1.3"
# TikTok's own examples, ads.tiktok.com/help: "List of supported IDs and formats".
JANE = "d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69"
DEVICE = "83dc3f5f32b9472613b0f038d36f22585a609d018af6f6067f50da318bf354bd"
PHONE = hashlib.sha256(b"+16577770000").hexdigest()
VISITOR = {
    "email": " JaneDoe+news@gmail.com",
    "mobile_number": "1 (657) 777-0000",
    "phone_number_2": "+374-93-828222",
    "phone_number_3": "+37493828223",
    "ios_advertising_id": "5F3A2B18-9C4D-4E7F-B8E2-17D3A1E69B25",
    "android_advertising_id": "5f3a2b18-9c4d-4e7f-b8e2-17d3a1e69b26",
}


def cell(value):
    return {"id": value, "audience_ids": [LIST]}


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


ROWS = [
    [{}, {}, {}, cell(sha("5f3a2b18-9c4d-4e7f-b8e2-17d3a1e69b26"))],
    [cell(JANE), {}, {}, {}],
    [{}, {}, cell(DEVICE), {}],
    [{}, cell(PHONE), {}, {}],
    [{}, cell(sha("+37493828222")), {}, {}],
    [{}, cell(sha("+37493828223")), {}, {}],
]
JANE_ALONE = {"email": "janedoe@gmail.com"}


def mapping(action, *rows):
    body = {
        "advertiser_ids": ["42"],
        "action": action,
        "id_schema": ["EMAIL_SHA256", "PHONE_SHA256", "IDFA_SHA256", "AAID_SHA256"],
        "batch_data": list(rows),
    }
    return Expected("POST", f"{URL}/segment/mapping/", body, {"access-token": TOKEN})


def answer(code, message="?", status=200):
    return Answer(status, json.dumps({"code": code, "message": message, "data": {}}).encode())


CASE = Case(
    TikTok,
    {"advertiser_id": "42", "access_token": TOKEN},
    lambda: Partner("42", TOKEN, LIST),
    lambda identity_type, value: sha(value.lower()),
    connection={"list_id": LIST},
    list_id=LIST,
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], [mapping("add", *ROWS)]),
        Golden("delete", [change(DELETE, identities=VISITOR)], [mapping("delete", *ROWS)]),
        Golden(
            "out first, then in",
            [
                change(ADD, identities=JANE_ALONE),
                change(DELETE, mpid="102", identities={"mobile_number": "+16577770000"}),
            ],
            [mapping("delete", ROWS[3]), mapping("add", ROWS[1])],
        ),
        Golden(
            "update", [change(ATTRIBUTE_UPDATE, identities=JANE_ALONE)], [mapping("add", ROWS[1])]
        ),
        Golden(
            "nothing left of it",
            [change(ADD, identities={"mobile_number": "n/a"})],
            [],
            {0: "not in the form of its type"},
        ),
        Golden(
            "audience deleted",
            [change(AUDIENCE_DELETE)],
            [
                Expected(
                    "POST",
                    f"{URL}/dmp/custom_audience/delete/",
                    {"advertiser_id": "42", "custom_audience_ids": [LIST]},
                )
            ],
        ),
    ],
    answers=[
        *(
            Answered(f"code-{code}", answer(code), "retry")
            for code in (40016, 40100, 40132, 40133, 50000, 50002, 51065)
        ),
        *(
            Answered(f"code-{code}", answer(code, "no"), "output", words="check the token")
            for code in (40001, 40102, 40104, 40105)
        ),
        Answered("unknown-audience", answer(40007, "gone"), "connection", words="list_id"),
        Answered(
            "bad-parameter",
            answer(40002, "bad id"),
            "rejected",
            changes=[change(ADD, identities=JANE_ALONE)],
            words="bad id",
        ),
        Answered(
            "bad-request",
            answer(40002, "bad id", 400),
            "rejected",
            changes=[change(ADD, identities=JANE_ALONE)],
            words="bad id",
        ),
        Answered(
            "in-use",
            answer(40002, "Audience is used by ad groups"),
            "connection",
            changes=[change(AUDIENCE_DELETE)],
            words="running campaigns",
        ),
        Answered("gone-already", answer(40007, "gone"), "taken", changes=[change(AUDIENCE_DELETE)]),
    ],
    most_rows=10_000,
    rows_in=lambda request: len(json.loads(request.body)["batch_data"]),
)
