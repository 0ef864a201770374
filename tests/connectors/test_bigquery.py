"""What rows BigQuery gets, and what its answers come to."""

import json

import pytest

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, DELETE
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.connectors.partners.bigquery import _COLUMNS, BigQuery, BigQueryConnection
from tests.connectors.cases.google_ads import TOKEN
from tests.connectors.changes import NOON, change, identity
from tests.connectors.conformance import Answered, Case, Expected, Golden, conformance
from tests.partners.converse import converse
from tests.partners.google import ACCESS, CLIENT, Warehouse, at, json_answer, refusal

TABLES = "https://bigquery.googleapis.com/bigquery/v2/projects/acme/datasets/cdp/tables"
TABLE = "VIP_customers_vip_20250728"  # 2025-08-01 is a Friday
HELD = {"authorization": f"Bearer {ACCESS}"}
EVERY = {one: identity(one, 1) for one in _COLUMNS}


class Ready(Warehouse):
    """The week's table is there and takes rows."""

    def __init__(self):
        super().__init__()
        self.make({"tableReference": {"tableId": TABLE}, "schema": {"fields": FIELDS}})
        self.not_yet[TABLE] = 0


def row(one, **more):
    return {
        "insertId": f"{one.message_id}@vip@out",
        "json": {
            "audienceid": "vip",
            "audiencename": "VIP customers",
            "mpid": "101",
            "isadd": one.action != DELETE,
            "timestamp": str(NOON),
            "messageid": one.message_id,
            **{_COLUMNS[kind]: [{"id": value}] for kind, value in one.identities},
            **more,
        },
    }


def request_of(*rows):
    body = {"skipInvalidRows": True, "ignoreUnknownValues": False, "rows": list(rows)}
    return Expected("POST", f"{TABLES}/{TABLE}/insertAll", body, HELD)


def golden(name, one, **more):
    asked = Expected("GET", f"{TABLES}/{TABLE}?fields=id", "", HELD)
    return Golden(name, [one], [TOKEN, asked, request_of(row(one, **more))])


FIELDS = [
    {"name": one}
    for one in (
        "audienceid",
        "audiencename",
        "mpid",
        "isadd",
        "timestamp",
        "messageid",
        "userattributes",
        *_COLUMNS.values(),
    )
]
SHARED = {"ltv": 12.5, "tags": ["a", "b"], "name": "Zoë", "none": None}
ATTRIBUTES = [
    {"attributename": "ltv", "attributevalue": "12.5"},
    {"attributename": "tags", "attributevalue": '["a","b"]'},
    {"attributename": "name", "attributevalue": "Zoë"},
    {"attributename": "none", "attributevalue": None},
]
INVALID = {"index": 0, "errors": [{"reason": "invalid", "message": "bad mpid"}]}
PASSING = {"index": 0, "errors": [{"reason": "backendError"}]}

CASE = Case(
    BigQuery,
    {**CLIENT, "project": "acme", "dataset": "cdp"},
    Ready,
    lambda identity_type, value: value,
    goldens=[
        golden("add", change(ADD, identities=EVERY)),
        golden("delete", change(DELETE, identities=EVERY)),
        golden(
            "attributes",
            change(ATTRIBUTE_UPDATE, identities={"email": "a@b.example"}, attributes=SHARED),
            userattributes=ATTRIBUTES,
        ),
    ],
    answers=[
        Answered(
            "bad-row",
            json_answer(200, {"insertErrors": [INVALID]}),
            "rejected",
            request=1,
            words="bad mpid",
        ),
        Answered("passing-row", json_answer(200, {"insertErrors": [PASSING]}), "retry", request=1),
        Answered("table-not-yet", refusal(404, "notFound"), "retry", request=1),
        Answered("bad-request", refusal(400, "invalid", "no field"), "output", request=1),
        Answered("rate-as-403", refusal(403, "rateLimitExceeded"), "retry", request=1),
        Answered("denied", refusal(403, "accessDenied"), "output", request=1),
        Answered("table-asked", refusal(400, "invalid"), "output", words="cdp.VIP_customers"),
    ],
    most_rows=500,
    rows_in=lambda request: request.body.count(b'"insertId"'),
    most_bytes=10_000_000,
    address=at,
)

TestConforms = conformance(CASE)


def test_a_missing_table_is_made_and_waited_for():
    partner = Warehouse(shy=3)
    assert converse(CASE.exchange(), [CASE.add()], partner.answer) == Outcome()
    assert set(partner.tables) == {TABLE}
    made = next(one for one in partner.requests if one.path.endswith("/tables")).json()
    columns = {one["name"]: one for one in made["schema"]["fields"]}
    assert columns["mpid"] == {"name": "mpid", "type": "INTEGER", "mode": "REQUIRED"}
    assert columns["idfa"] == {
        "name": "idfa",
        "type": "RECORD",
        "mode": "REPEATED",
        "fields": [{"name": "id", "type": "STRING", "mode": "NULLABLE"}],
    }
    assert columns.keys() == {one["name"] for one in FIELDS}


def test_each_week_has_its_table_unless_the_connection_names_one():
    week = 7 * 86_400_000
    partner = Warehouse()
    changes = [CASE.filled(change(ADD, at=NOON + n * week)) for n in range(2)]
    changes.append(change(ADD, settings=BigQueryConnection(table="changes")))
    converse(CASE.exchange(), changes, partner.answer)
    assert set(partner.tables) == {TABLE, "VIP_customers_vip_20250804", "changes"}


def test_a_repetition_is_left_out():
    partner = Ready()
    for _ in range(2):
        converse(CASE.exchange(), [CASE.add()], partner.answer)
    assert len(partner.tables[TABLE]) == 1


def test_a_long_insert_id_is_a_digest():
    partner = Ready()
    converse(CASE.exchange(), [CASE.filled(change(ADD, audience="a" * 120))], partner.answer)
    (sent,) = [one for one in partner.requests if one.path.endswith("insertAll")][-1:]
    assert len(json.loads(sent.body)["rows"][0]["insertId"]) == 64


def test_a_table_that_lacks_a_column_is_a_fault_of_the_connection():
    partner = Ready()
    partner.schemas[TABLE].remove("email")
    with pytest.raises(Fault, match=r"cdp.VIP_customers_vip_20250728 lacks a column") as raised:
        converse(CASE.exchange(), [CASE.add()], partner.answer)
    assert raised.value.scope == "connection"
