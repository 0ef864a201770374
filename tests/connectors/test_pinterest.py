"""What Pinterest is sent, and what its answers come to."""

import hashlib
import json
from dataclasses import replace

import pytest

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer, Fault
from cdp_stream.connectors.partners.pinterest import Pinterest
from cdp_stream.errors import UsageError
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden, conformance
from tests.partners.converse import converse
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

TestConforms = conformance(CASE)


def told(connection, *changes, partner, **settings):
    list_id = connection.get("list_id")
    case = replace(CASE, connection=connection, list_id=list_id)
    case = replace(case, settings={**case.settings, **settings})
    exchange = case.exchange()
    return converse(exchange, [case.filled(one) for one in changes], partner.answer), exchange


@pytest.mark.parametrize("small", [False, True])
def test_a_list_is_made_once_made_an_audience_if_it_can_be_and_found_by_name_later(small):
    partner = Partner("549755885175", SECRET, REFRESH)
    partner.small = small
    for name in ("A", "B", "C", "C"):
        told({}, change(ADD, identities=ANN, name=name), partner=partner)
    assert list(partner.names.values()) == ["A", "B", "C"]
    assert partner.members("602") == {sha("ann@example.com")}
    assert partner.audiences == ({} if small else {"A": "600", "B": "601", "C": "602"})


def test_nobody_who_left_gets_onto_a_list_that_is_made():
    partner = Partner("549755885175", SECRET, REFRESH)
    bob = change(ADD, mpid="102", identities={"email": "bob@example.com"})
    told({}, change(DELETE, identities=ANN), bob, partner=partner)
    assert partner.members("600") == {sha("bob@example.com")}


def test_a_list_that_pinterest_does_not_make_is_a_fault_of_the_connection():
    partner = Partner("549755885175", SECRET, REFRESH)
    partner.strangers = set()
    partner.tokens = 7
    partner.ahead += [answer(200, items=[]), answer(400, code=1, message="no")]
    with pytest.raises(Fault, match="made no list") as fault:
        told({}, change(ADD, identities=ANN), partner=partner, access_token="token-7")
    assert fault.value.scope == "connection"


def test_a_refresh_token_that_is_refused_is_a_fault_of_the_output():
    partner = Partner("549755885175", SECRET, "another", LIST)
    with pytest.raises(Fault, match="Authentication failed") as fault:
        told({"list_id": LIST}, change(ADD, identities=ANN), partner=partner)
    assert fault.value.scope == "output"
    assert REFRESH not in fault.value.message


def test_an_access_token_will_do():
    partner = Partner("549755885175", SECRET, REFRESH, LIST)
    partner.tokens = 7
    told({"list_id": LIST}, change(ADD, identities=ANN), partner=partner, access_token="token-7")
    assert partner.members(LIST) == {sha("ann@example.com")}


def test_without_credentials_the_output_says_so_at_once():
    with pytest.raises(UsageError, match="Pinterest needs credentials"):
        told({}, change(ADD, identities=ANN), partner=Partner("a", "b", "c"), app_secret=None)


def test_nothing_is_sent_when_an_audience_is_deleted():
    partner = Partner("549755885175", SECRET, REFRESH, LIST)
    _, exchange = told({"list_id": LIST}, change(AUDIENCE_DELETE), partner=partner)
    assert exchange.sent == []
