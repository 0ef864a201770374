"""What Facebook is sent, and what its answers come to."""

import hashlib
import json

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer
from cdp_stream.connectors.partners.facebook import Facebook
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden
from tests.partners.facebook import Facebook as Partner

TOKEN = "EAAB0123456789"
LIST = "23840000000000001"
URL = "https://graph.facebook.com/v25.0"
MARY = "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79"  # Meta's own example
PHONE = hashlib.sha256(b"16505551234").hexdigest()
IDFA = "a6d1f7f0-0d3e-4c7d-9a55-000000000000"
VISITOR = {
    "email": " Mary@Example.com ",
    "mobile_number": "+1 (650) 555-1234",
    "phone_number_2": "0016505551235",
    "phone_number_3": "16505551236",
    "ios_advertising_id": IDFA.upper(),
    "android_advertising_id": "C6D1F7F0-0d3e-4c7d-9a55-000000000000",
}
ROWS = [
    ["", "", "c6d1f7f0-0d3e-4c7d-9a55-000000000000"],
    [MARY, "", ""],
    ["", "", IDFA],
    ["", PHONE, ""],
    ["", hashlib.sha256(b"16505551235").hexdigest(), ""],
    ["", hashlib.sha256(b"16505551236").hexdigest(), ""],
]
MARY_ALONE = {"email": "mary@example.com"}


def users(method, session_id, *rows):
    body = {
        "payload": {"schema": ["EMAIL", "PHONE", "MADID"], "data": list(rows)},
        "session": {
            "session_id": session_id,
            "batch_seq": 1,
            "last_batch_flag": True,
            "estimated_num_total": len(rows),
        },
    }
    return Expected(method, f"{URL}/{LIST}/users", body, {"authorization": f"Bearer {TOKEN}"})


def kept_as(identity_type, value):
    if "advertising" in identity_type:
        return value.lower()
    text = value.lower() if identity_type == "email" else value.lstrip("+")
    return hashlib.sha256(text.encode()).hexdigest()


def answer(status, code, subcode=None, **more):
    error = {"message": "Invalid parameter", "code": code, "error_subcode": subcode, **more}
    return Answer(status, json.dumps({"error": error}).encode())


CASE = Case(
    Facebook,
    {"ad_account_id": "act_42", "access_token": TOKEN},
    lambda: Partner("42", TOKEN, LIST),
    kept_as,
    connection={"list_id": LIST},
    list_id=LIST,
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], [users("POST", 1, *ROWS)]),
        Golden("delete", [change(DELETE, identities=VISITOR)], [users("DELETE", 1, *ROWS)]),
        Golden(
            "out first, then in",
            [
                change(ADD, identities={"ios_advertising_id": IDFA}),
                change(DELETE, mpid="102", identities=MARY_ALONE),
            ],
            [users("DELETE", 1, [MARY, "", ""]), users("POST", 1, ["", "", IDFA])],
        ),
        Golden(
            "update", [change(ATTRIBUTE_UPDATE, identities=MARY_ALONE)], [users("POST", 1, ROWS[1])]
        ),
        Golden(
            "one that is nobody's device",
            [
                change(
                    ADD,
                    identities={"ios_advertising_id": "00000000-0000-0000-0000-000000000000"},
                ),
                change(ADD, mpid="102", identities=MARY_ALONE),
            ],
            [users("POST", 1, [MARY, "", ""])],
            {0: "ios_advertising_id"},
        ),
        Golden(
            "nothing left of it",
            [change(ADD, identities={"mobile_number": "n/a"})],
            [],
            {0: "not in the form of its type"},
        ),
        Golden(
            "audience deleted", [change(AUDIENCE_DELETE)], [Expected("DELETE", f"{URL}/{LIST}")]
        ),
    ],
    answers=[
        *(
            Answered(f"code-{code}", answer(400, code), "retry")
            for code in (1, 2, 4, 17, 32, 341, 613, 80_000, 80_003, 80_014)
        ),
        Answered("transient", answer(500, 999, is_transient=True), "retry"),
        *(
            Answered(f"code-{code}", answer(400, code), "output", words="check the token")
            for code in (3, 10, 102, 190, 200, 294, 299, 368, 2655)
        ),
        *(
            Answered(
                f"flagged-{subcode}",
                answer(400, 100, subcode, error_user_title="Audience Upload Blocked"),
                "connection",
                words="Audience Upload Blocked",
            )
            for subcode in (1_713_228, 1_713_230, 1_713_231)
        ),
        Answered("cannot-be-updated", answer(400, 2650), "connection", words="2650"),
        Answered("no-such-audience", answer(400, 100, 33), "connection", words="`list_id`"),
        Answered(
            "no-such-audience-to-delete-from",
            answer(400, 100, 33),
            "connection",
            changes=[change(DELETE, identities=MARY_ALONE)],
            words="`list_id`",
        ),
        Answered(
            "bad-parameter",
            answer(400, 100, 1),
            "rejected",
            changes=[change(ADD, identities=MARY_ALONE)],
            words="Invalid parameter",
        ),
        Answered(
            "all-invalid",
            Answer(200, b'{"num_received":6,"num_invalid_entries":6}'),
            "rejected",
            words="could not read it",
        ),
        Answered(
            "a-row-shown-as-json",
            Answer(
                200,
                json.dumps(
                    {
                        "num_received": 2,
                        "num_invalid_entries": 1,
                        "invalid_entry_samples": {"0": json.dumps([MARY, "", ""]), "1": 7},
                    }
                ).encode(),
            ),
            "rejected",
            changes=[
                change(ADD, identities=MARY_ALONE),
                change(ADD, mpid="102", identities={"ios_advertising_id": IDFA}),
            ],
        ),
        Answered(
            "audience-in-use",
            answer(400, 100, 1_870_000),
            "connection",
            changes=[change(AUDIENCE_DELETE)],
            words="did not delete",
        ),
        Answered(
            "audience-gone-already",
            answer(400, 100, 33),
            "taken",
            changes=[change(AUDIENCE_DELETE)],
        ),
    ],
    most_rows=10_000,
    rows_in=lambda request: len(json.loads(request.body)["payload"]["data"]),
)


class _AnySession(int):
    """Session ids are numbers of their own for each upload: only that they are is looked at."""

    def __eq__(self, other):
        return isinstance(other, int) and 0 < other < 2**63

    __hash__ = int.__hash__


for _golden in CASE.goldens:
    for _request in _golden.requests:
        if _request.body:
            _request.body["session"]["session_id"] = _AnySession()
