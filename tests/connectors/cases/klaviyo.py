"""What Klaviyo is sent, and what its answers come to."""

import json

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, DELETE
from cdp_stream.connectors.exchange import Answer
from cdp_stream.connectors.partners.klaviyo import Klaviyo
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden
from tests.partners.klaviyo import Klaviyo as Partner

KEY = "pk_0123456789abcdef"
LIST = "Y6nRLr"
URL = "https://a.klaviyo.com/api"
HEADERS = {
    "authorization": f"Klaviyo-API-Key {KEY}",
    "revision": "2026-07-15",
    "accept": "application/vnd.api+json",
}
VISITOR = {"customer_id": "c-1", "email": "Ann@Example.com", "mobile_number": "+447946000000"}
BOB = change(ADD, mpid="102", identities={"email": "bob@example.com"})
JOB = f"{URL}/profile-bulk-import-jobs"


def look_up(*quoted):
    values = "%2C".join(f"%22{one}%22" for one in quoted)
    query = f"fields[profile]=email&page[size]=100&filter=any%28email%2C%5B{values}%5D%29"
    return Expected("GET", f"{URL}/profiles?{query}", b"", HEADERS)


def imports(*profiles):
    rows = [{"type": "profile", "attributes": one} for one in profiles]
    job = {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": rows}}}
    return Expected("POST", JOB, {"data": job}, HEADERS)


def on_list(method, *ids):
    rows = [{"type": "profile", "id": one} for one in ids]
    more = {"content-type": "application/vnd.api+json"}
    url = f"{URL}/lists/{LIST}/relationships/profiles"
    return Expected(method, url, {"data": rows}, HEADERS | more)


def partner():
    made = Partner(KEY, LIST)
    made.profiles = {"old@example.com": "01OLD", "was@example.com": "01WAS"}
    return made


def answer(status, code, detail=""):
    error = {"status": status, "code": code, "detail": detail}
    return Answer(status, json.dumps({"errors": [error]}).encode())


ANN = "ann%40example.com"
UNDER_WAY = Expected("GET", f"{JOB}/0")

CASE = Case(
    Klaviyo,
    {"api_key": KEY},
    partner,
    lambda identity_type, value: value if identity_type == "email" else None,
    connection={"list_id": LIST},
    list_id=LIST,
    goldens=[
        Golden(
            "add somebody new",
            [change(ADD, identities=VISITOR)],
            [
                look_up(ANN),
                imports({"email": "ann@example.com"}),
                UNDER_WAY,
                UNDER_WAY,
                look_up(ANN),
                on_list("POST", "01P2"),
            ],
        ),
        Golden(
            "out first, then in",
            [
                change(ADD, identities={"email": "old@example.com"}),
                change(DELETE, mpid="102", identities={**VISITOR, "email": "was@example.com"}),
            ],
            [
                look_up("old%40example.com", "was%40example.com"),
                on_list("DELETE", "01WAS"),
                on_list("POST", "01OLD"),
            ],
        ),
        Golden("delete a stranger", [change(DELETE, identities=VISITOR)], [look_up(ANN)]),
        Golden(
            "attributes",
            [
                change(
                    ATTRIBUTE_UPDATE,
                    identities={"email": "old@example.com"},
                    attributes={"ltv": 12.5},
                )
            ],
            [
                look_up("old%40example.com"),
                imports({"email": "old@example.com", "properties": {"ltv": 12.5}}),
                UNDER_WAY,
                UNDER_WAY,
                on_list("POST", "01OLD"),
            ],
        ),
        Golden(
            "one bad row",
            [change(ADD, identities={"email": "no address"}), BOB],
            [
                look_up("no%20address", "bob%40example.com"),
                imports({"email": "no address"}, {"email": "bob@example.com"}),
                UNDER_WAY,
                UNDER_WAY,
                Expected("GET", f"{JOB}/0/import-errors?page[size]=100"),
                look_up("bob%40example.com"),
                on_list("POST", "01P2"),
            ],
            {0: "email: invalid bad email"},
        ),
    ],
    answers=[
        Answered(
            "unknown-list",
            answer(404, "not_found", "A list with id Y6nRLr does not exist."),
            "connection",
            request=4,
            words="list_id",
        ),
        Answered(
            "a profile that went", answer(404, "not_found", "a profile"), "rejected", request=4
        ),
        Answered("no-job", answer(400, "invalid", "?"), "rejected", request=1, words="invalid"),
        Answered(
            "cancelled",
            Answer(200, b'{"data":{"attributes":{"status":"cancelled"}}}'),
            "rejected",
            request=2,
            words="cancelled",
        ),
        Answered(
            "under-way",
            Answer(200, b'{"data":{"attributes":{"status":"queued"}}}'),
            "retry",
            request=2,
        ),
        Answered("still-missing", Answer(200, b'{"data":[]}'), "rejected", request=3, words="no"),
        Answered("not-allowed", answer(403, "permission_denied"), "output", words="permission"),
    ],
    most_rows=1000,
    rows_in=lambda request: len(json.loads(request.body)["data"]) if request.body else 0,
)
