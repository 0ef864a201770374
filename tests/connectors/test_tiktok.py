"""What TikTok is sent, and what its answers come to."""

import hashlib
import json
from dataclasses import replace

import pytest

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer, Fault, Outcome
from cdp_stream.connectors.partners.tiktok import TikTok
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden, conformance
from tests.partners.converse import converse
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

TestConforms = conformance(CASE)


def told(connection, *changes, partner):
    case = replace(CASE, connection=connection, list_id=connection.get("list_id"))
    exchange = case.exchange()
    return converse(exchange, [case.filled(one) for one in changes], partner.answer), exchange


def test_an_audience_is_made_once_and_found_by_name_on_a_later_page():
    partner = Partner("42", TOKEN)
    partner.names = {str(n): f"other {n}" for n in range(150)}
    for _ in range(2):
        told({}, change(ADD, identities=JANE_ALONE), partner=partner)
    assert list(partner.audiences) == ["170000"]
    assert partner.members("170000") == {JANE}


def test_one_bad_row_is_found_among_many():
    partner = Partner("42", TOKEN, LIST)
    plain = partner.mapping
    bad = sha("bad@example.com")

    def fussy(body):
        ids = [cell["id"] for row in body["batch_data"] for cell in row if cell]
        return answer(40002, "bad id") if bad in ids else plain(body)

    partner.mapping = fussy
    changes = [
        change(ADD, mpid=str(n), identities={"email": f"u{n}@example.com"}) for n in range(100)
    ]
    changes.insert(37, change(ADD, mpid="999", identities={"email": "bad@example.com"}))
    outcome, exchange = told({"list_id": LIST}, *changes, partner=partner)
    assert list(outcome.rejected) == [37]
    assert len(partner.members(LIST)) == 100
    assert len(exchange.sent) <= 2 * 8


@pytest.mark.parametrize(("rows", "is_fault"), [(99, False), (1000, True)])
def test_a_partner_that_refuses_everything_is_not_asked_for_each_row(rows, is_fault):
    partner = Partner("42", TOKEN, LIST)
    partner.mapping = lambda _body: answer(40002, "advertiser_ids {0}")
    changes = [
        change(ADD, mpid=str(n), identities={"email": f"u{n}@example.com"}) for n in range(rows)
    ]
    if is_fault:
        with pytest.raises(Fault, match=r"refuses whatever it is sent.*advertiser_ids") as fault:
            told({"list_id": LIST}, *changes, partner=partner)
        assert fault.value.scope == "connection"
        assert len(partner.requests) < 100
    else:
        outcome, _ = told({"list_id": LIST}, *changes, partner=partner)
        assert len(outcome.rejected) == rows


def test_an_audience_in_use_is_deleted_once_it_is_free():
    partner = Partner("42", TOKEN, LIST)
    for _ in range(2):
        outcome, _ = told({"list_id": LIST}, change(AUDIENCE_DELETE), partner=partner)
        assert outcome == Outcome()
    assert partner.audiences == {}
