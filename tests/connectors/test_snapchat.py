"""What Snapchat is sent, and what its answers come to."""

import hashlib
import json
from dataclasses import replace

import pytest

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer, Fault, Outcome
from cdp_stream.connectors.partners.snapchat import Snapchat
from cdp_stream.errors import UsageError
from tests.connectors.changes import change
from tests.connectors.conformance import NOW, Answered, Case, Expected, Golden, conformance
from tests.partners.converse import converse
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

TestConforms = conformance(CASE)


def told(connection, *changes, partner, **settings):
    list_id = connection.get("list_id")
    case = replace(CASE, connection=connection, list_id=list_id)
    case = replace(case, settings={**case.settings, **settings})
    exchange = case.exchange()
    return converse(exchange, [case.filled(one) for one in changes], partner.answer), exchange


def test_a_token_is_used_until_its_end():
    partner = Partner("8adc3db7", SECRET, REFRESH, LIST)
    _, exchange = told({"list_id": LIST}, change(ADD, identities=ANN), partner=partner)
    assert exchange.token.expires_at == NOW + 1_800_000
    exchange.now += 1_799_999
    one = CASE.filled(change(DELETE, identities=ANN))
    converse(exchange, [one], partner.answer)
    assert partner.tokens == 1
    exchange.now += 1
    converse(exchange, [one], partner.answer)
    assert partner.tokens == 2


def test_a_refresh_token_that_is_refused_is_a_fault_of_the_output():
    partner = Partner("8adc3db7", SECRET, "another", LIST)
    with pytest.raises(Fault, match="the token is wrong") as fault:
        told({"list_id": LIST}, change(ADD, identities=ANN), partner=partner)
    assert fault.value.scope == "output"
    assert REFRESH not in fault.value.message


def test_an_access_token_will_do():
    partner = Partner("8adc3db7", SECRET, REFRESH, LIST)
    partner.tokens = 7
    told({"list_id": LIST}, change(ADD, identities=ANN), partner=partner, access_token="token-7")
    assert partner.members(LIST) == {sha("ann@example.com")}


def test_without_credentials_the_output_says_so_at_once():
    with pytest.raises(UsageError, match="Snapchat needs credentials"):
        told({}, change(ADD, identities=ANN), partner=Partner("a", "b", "c"), refresh_token=None)


def test_a_segment_is_made_once_and_found_by_name_on_a_later_page():
    partner = Partner("8adc3db7", SECRET, REFRESH)
    for name in ("A", "B", "C", "C"):
        told({}, change(ADD, identities=ANN, name=name), partner=partner)
    assert list(partner.names.values()) == ["A", "B", "C"]
    assert partner.members("s2") == {sha("ann@example.com")}


def test_a_link_to_another_host_is_not_followed():
    partner = Partner("8adc3db7", SECRET, REFRESH)
    paging = {"next_link": "https://evil.example.com/v1/adaccounts/8adc3db7/segments"}
    partner.tokens = 7
    partner.ahead.append(answer(200, segments=[], paging=paging))
    _, exchange = told({}, change(ADD, identities=ANN), partner=partner, access_token="token-7")
    assert {request.url.split("/v1")[0] for request in exchange.sent} == {
        URL.split("/v1", maxsplit=1)[0]
    }


def test_a_connection_may_have_the_segment_deleted():
    partner = Partner("8adc3db7", SECRET, REFRESH, LIST)
    for _ in range(2):
        outcome, _ = told({"list_id": LIST}, change(AUDIENCE_DELETE), partner=partner)
        assert outcome == Outcome()
    assert partner.segments == {}
