"""The requests to Yahoo, and what its answers mean."""

import json
from hashlib import sha256

import pytest

from cdp_stream.connectors.change import ADD, DELETE
from cdp_stream.connectors.exchange import Answer, Fault, Outcome
from cdp_stream.connectors.partners.yahoo import Yahoo, YahooConnection
from tests.connectors.changes import NOON, change
from tests.connectors.conformance import NOW, Answered, Case, Expected, Golden, conformance
from tests.partners.converse import converse
from tests.partners.partner import json_answer
from tests.partners.yahoo import ACCESS, DataX

SECRET = "yahoo-client-secret"
CLIENT = "19703e8-1546-410f-84e3-cd6c38dbcec0"
TOKEN_URL = "https://id.b2b.yahooinc.com/identity/oauth2/access_token"
IDFA = "a6d1f7f0-0d3e-4c7d-9a55-000000000001"
GAID = "c6d1f7f0-0d3e-4c7d-9a55-000000000001"
EMAIL = sha256(b"ann@example.com").hexdigest()
VISITOR = {
    "email": " Ann@Example.com",
    "ios_advertising_id": IDFA.upper(),
    "android_advertising_id": GAID,
}
# Verified by tests/partners/yahoo.py, which signs by itself.
ASSERTION = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiIxOTcwM2U4LTE1NDYtNDEwZi04NGUzLWNkNmMzOGR"
    "iY2VjMCIsInN1YiI6IjE5NzAzZTgtMTU0Ni00MTBmLTg0ZTMtY2Q2YzM4ZGJjZWMwIiwiYXVkIjoiaHR0cHM6Ly9"
    "pZC5iMmIueWFob29pbmMuY29tL2lkZW50aXR5L29hdXRoMi9hY2Nlc3NfdG9rZW4_cmVhbG09ZGF0YXhvbmxpbmU"
    "iLCJqdGkiOiJjZDY2Y2U2OGRkZGY1NTg1OTQ3Y2ZmNzAiLCJpYXQiOjE3NTQwNTAwMDAsImV4cCI6MTc1NDA1MDY"
    "wMH0.2r7OtwtllJw-P1LboMRulaFs-S-8HzSbqlkDPjjxGoU"
)
TOKEN = Expected(
    "POST",
    TOKEN_URL,
    "grant_type=client_credentials"
    "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    f"&client_assertion={ASSERTION}&scope=audience&realm=dataxonline",
    {"content-type": "application/x-www-form-urlencoded"},
)


def request_of(*rows):
    body = {
        "schema": ["SHA256EMAIL", "IDFA", "GPADVID", "SEGMENTS"],
        "data": list(rows),
        "gdpr": False,
    }
    headers = {"authorization": f"Bearer {ACCESS}", "content-type": "application/json"}
    return Expected("POST", "https://dataxonline.yahoo.com/online/audience/", body, headers)


def rows(until):
    said = f"exp={until}&seg_id=vip-9&ts={NOON // 1000}"
    return [["", "", GAID, said], [EMAIL, "", "", said], ["", IDFA, "", said]]


KEPT = NOON // 1000 + 45 * 86_400
COUNTS = {"totalRows": 3, "processedRows": 2, "invalidRows": 1}

CASE = Case(
    Yahoo,
    {"client_id": CLIENT, "client_secret": SECRET},
    lambda: DataX(CLIENT, SECRET, NOW, ("vip-9", "b")),
    lambda identity_type, value: (
        sha256(value.encode()).hexdigest() if identity_type == "email" else value
    ),
    connection={"segment_id": "vip-9"},
    list_id="vip-9",
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], [TOKEN, request_of(*rows(KEPT))]),
        Golden("delete", [change(DELETE, identities=VISITOR)], [TOKEN, request_of(*rows(0))]),
        Golden(
            "nobody",
            [
                change(
                    ADD, identities={"ios_advertising_id": "00000000-0000-0000-0000-000000000000"}
                ),
                change(ADD, mpid="102", identities={"android_advertising_id": GAID}),
            ],
            [TOKEN, request_of(rows(KEPT)[0])],
            rejected={0: "not in the form of its type: ios_advertising_id"},
        ),
    ],
    answers=[
        Answered(
            "one-named",
            json_answer(200, {**COUNTS, "exampleInvalidRows": [f"[{EMAIL}]"]}),
            "rejected",
            changes=[
                change(ADD, identities={"email": "ann@example.com"}),
                change(ADD, mpid="102", identities={"android_advertising_id": GAID}),
            ],
            words="rejects it",
        ),
        Answered(
            "all, asked again apart",
            json_answer(200, {"totalRows": 3, "processedRows": 0, "invalidRows": 3}),
            "taken",
        ),
        Answered("no-segment", Answer(404, b"no"), "connection", words="segment_id"),
        Answered(
            "too-large",
            Answer(413, b"too large"),
            "taken",
            changes=[
                change(ADD, identities={"email": "ann@example.com"}),
                change(ADD, mpid="102", identities={"android_advertising_id": GAID}),
            ],
        ),
        Answered(
            "one-row-refused",
            Answer(400, b"bad"),
            "rejected",
            changes=[change(ADD, identities={"email": "ann@example.com"})],
            words="400 bad",
        ),
    ],
    most_rows=5_000,
    rows_in=lambda request: request.body.count(b"seg_id="),
    address=lambda url: {
        "api_url": url,
        "token_url": f"{url}/identity/oauth2/access_token",
        "allow_private": True,
    },
)

TestConforms = conformance(CASE)


def test_rows_that_are_not_named_are_found():
    partner = CASE.partner()
    partner.banned = {sha256(f"a{n}@b.example".encode()).hexdigest() for n in (3, 17, 18, 19, 40)}
    changes = [
        CASE.filled(change(ADD, mpid=str(n), identities={"email": f"a{n}@b.example"}))
        for n in range(50)
    ]
    outcome = converse(CASE.exchange(), changes, partner.answer)
    assert sorted(outcome.rejected) == [3, 17, 18, 19, 40]
    assert len(partner.members("vip-9")) == 45


def test_consent_is_sent_where_the_gdpr_applies():
    partner = CASE.partner()
    exchange = CASE.exchange(gdpr=True, gdpr_euconsent="CPXxRfAPXxRfAAfKABENB")
    settings = YahooConnection(segment_id="b", expires_days=7)
    add = change(ADD, identities={"email": "ann@example.com"}, settings=settings)
    assert converse(exchange, [add], partner.answer) == Outcome()
    said = json.loads(exchange.sent[-1].body)
    assert (said["gdpr"], said["gdpr_euconsent"]) == (True, "CPXxRfAPXxRfAAfKABENB")
    assert partner.held["b"] == {EMAIL: NOON // 1000 + 7 * 86_400}


def test_wrong_credentials_are_a_fault_of_the_output():
    exchange = CASE.exchange(client_secret="another-secret")
    with pytest.raises(Fault, match="invalid_client; check client_id") as raised:
        converse(exchange, [CASE.add()], CASE.partner().answer)
    assert raised.value.scope == "output"


def test_a_segment_that_is_not_in_the_taxonomy_is_a_fault_and_loses_nothing():
    settings = YahooConnection(segment_id="unknown")
    changes = [
        change(ADD, mpid=str(n), identities={"email": f"a{n}@b.example"}, settings=settings)
        for n in range(200)
    ]
    with pytest.raises(Fault, match="refuses every request") as raised:
        converse(CASE.exchange(), changes, CASE.partner().answer)
    assert raised.value.scope == "connection"
