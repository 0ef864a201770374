"""The requests to The Trade Desk, and what its answers mean."""

import json

import pytest

from cdp_stream.connectors.change import ADD, DELETE
from cdp_stream.connectors.exchange import Answer, Outcome
from cdp_stream.connectors.partners.the_trade_desk import (
    TheTradeDesk,
    TradeDeskConnection,
    segment_name,
)
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden, conformance
from tests.partners.converse import converse
from tests.partners.partner import json_answer
from tests.partners.the_trade_desk import DataServer

SECRET = "ttd-advertiser-secret"
IDFA = "a6d1f7f0-0d3e-4c7d-9a55-000000000001"
GAID = "c6d1f7f0-0d3e-4c7d-9a55-000000000001"
DEVICES = {"ios_advertising_id": IDFA.upper(), "android_advertising_id": GAID}


def request_of(minutes, *devices, name="VIP customers"):
    items = [
        {
            "DAID": device,
            "Data": [
                {"Name": name, "TtlInMinutes": minutes, "TimestampUtc": "2025-08-01T12:00:00Z"}
            ],
        }
        for device in devices
    ]
    body = {"AdvertiserId": "abc1234", "Items": items}
    headers = {"content-type": "application/json"}
    return Expected("POST", "https://use-data.adsrvr.org/data/advertiser", body, headers)


def failed(*items):
    lines = [
        {"ErrorCode": "MissingUserId", "Message": f"Invalid DAID, item #{one}"} for one in items
    ]
    return json_answer(200, {"FailedLines": lines})


TWO = [
    change(ADD, identities={"ios_advertising_id": IDFA}),
    change(ADD, mpid="102", identities={"android_advertising_id": GAID}),
]
CASE = Case(
    TheTradeDesk,
    {"advertiser_id": "abc1234", "secret_key": SECRET},
    lambda: DataServer("abc1234", SECRET),
    lambda identity_type, value: value,
    goldens=[
        Golden("add", [change(ADD, identities=DEVICES)], [request_of(259_200, GAID, IDFA)]),
        Golden("delete", [change(DELETE, identities=DEVICES)], [request_of(0, GAID, IDFA)]),
        Golden(
            "settings",
            [
                change(
                    ADD,
                    identities={"ios_advertising_id": IDFA},
                    settings=TradeDeskConnection(segment_name="buyers", ttl_days=30),
                )
            ],
            [request_of(43_200, IDFA, name="buyers")],
        ),
        Golden(
            "no device",
            [change(ADD, identities={"ios_advertising_id": "unknown"})],
            [],
            rejected={0: "not in the form of its type: ios_advertising_id"},
        ),
    ],
    answers=[
        Answered(
            "second-item",
            failed(2),
            "rejected",
            changes=TWO,
            rejected=frozenset({1}),
            words="MissingUserId: Invalid DAID, item #2",
        ),
        Answered("all", failed(1, 2), "rejected", changes=TWO, rejected=frozenset({0, 1})),
        Answered("too-large", Answer(413, b"MaxRequestSizeExceeded"), "taken", changes=TWO),
        Answered(
            "one-too-large",
            Answer(413, b"MaxRequestSizeExceeded"),
            "output",
            changes=TWO[:1],
            words="MaxRequestSizeExceeded",
        ),
        Answered("advertiser", Answer(400, b"no such advertiser"), "output", words="no such"),
        Answered(
            "unknown-line",
            json_answer(200, {"FailedLines": [{"ErrorCode": "Odd", "Message": "?"}]}),
            "output",
            words="Odd",
        ),
    ],
    most_rows=10_000,
    rows_in=lambda request: request.body.count(b'"DAID"'),
    most_bytes=2_500_000,
)

TestConforms = conformance(CASE)


def test_the_signature_of_a_known_body():
    """As `printf BODY | openssl dgst -sha1 -hmac SECRET -binary | base64` says it."""
    connector = CASE.exchange().connector
    request = connector._upload([])
    assert request.body == b'{"AdvertiserId":"abc1234","Items":[]}'
    signature = connector.authorized(request, 0, None).headers["ttdsignature"]
    assert signature == "Vb6oHRaQ5D1sFWvQ912LgBtlIcY="


def test_the_other_items_are_accepted():
    partner = CASE.partner()
    partner.banned = {IDFA}
    outcome = converse(CASE.exchange(), [CASE.filled(one) for one in TWO], partner.answer)
    assert set(outcome.rejected) == {0}
    assert partner.members(None) == {GAID}


def test_the_region_is_in_the_address():
    exchange = CASE.exchange(region="euw")
    converse(exchange, [CASE.add()], CASE.partner().answer)
    assert exchange.sent[0].url == "https://euw-data.adsrvr.org/data/advertiser"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("VIP customers", "VIP customers"),
        ('It\'s "new", ^really', "It s  new    really"),
        ("'", "audience"),
        ("a" * 49, "a" * 49),
        ("a" * 50, "a" * 40 + "-160b4e43"),
        ("a" * 51, "a" * 40 + "-bfc5fe0e"),
    ],
)
def test_names_are_allowed_ones_and_differ(name, wanted):
    assert segment_name(name) == wanted


def test_a_large_batch_is_cut_by_size():
    exchange, partner = CASE.exchange(), CASE.partner()
    changes = [
        CASE.filled(
            change(
                ADD,
                mpid=str(n),
                identities={"ios_advertising_id": f"00000000-0000-4000-8000-{n:012d}"},
            )
        )
        for n in range(11_000)
    ]
    assert converse(exchange, changes, partner.answer) == Outcome()
    assert [len(json.loads(one.body)["Items"]) for one in exchange.sent] == [10_000, 1_000]
    assert max(len(one.body) for one in exchange.sent) < 2_500_000
