"""BigQuery: change rows, one table per audience and week, by streaming inserts.

Rows are changes, not members: the latest row of a profile shows whether it is in. With `insertId`
BigQuery leaves out a repetition of the last minute or so; `messageid` identifies the others.

Sources: cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll (10 MB, 50,000 rows,
500 advised; insertId up to 128 characters), .../docs/error-messages.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, ClassVar, Final

from pydantic import Field

from cdp_stream.connectors.auth.google import GoogleConnector, GoogleSettings, reasons
from cdp_stream.connectors.calls import json_request
from cdp_stream.connectors.change import AUDIENCE_DELETE, DELETE, OutputChange, json_bytes
from cdp_stream.connectors.connector import Batching
from cdp_stream.connectors.exchange import (
    Answer,
    Delivery,
    Fault,
    Outcome,
    Request,
    TryAgain,
)
from cdp_stream.connectors.members.members import fitting
from cdp_stream.connectors.settings import ConnectionSettings
from cdp_stream.connectors.storage.objects import plain

__all__ = ["BigQuery"]

_ROWS: Final = 500
_SIZE: Final = 9_000_000
_INSERT_ID: Final = 128
_TABLE_NAME: Final = 1024
_MISSING: Final = 404
_EXISTS: Final = 409
_NO_COLUMN: Final = "no such field"
_PASSING: Final = frozenset(("timeout", "backendError", "internalError", "rateLimitExceeded"))
_JSON: Final = {"content-type": "application/json"}

_COLUMNS: Final = {
    "customer_id": "customerid",
    "facebook": "facebookid",
    "twitter": "twitterid",
    "google": "googleuserid",
    "microsoft": "microsoftid",
    "yahoo": "yahooid",
    "other": "otheruserid",
    **{f"other_id_{n}": f"otheruserid{n}" for n in range(2, 11)},
    "email": "email",
    "mobile_number": "mobilenumber",
    "phone_number_2": "phonenumber2",
    "phone_number_3": "phonenumber3",
    "alias": "alias",
    "facebook_custom_audience_id": "facebookcustomaudienceid",
    "ios_advertising_id": "idfa",
    "ios_idfv": "idfv",
    "android_advertising_id": "googleaid",
    "android_uuid": "androidid",
    "roku_advertising_id": "rokuaid",
    "roku_publisher_id": "rokupublisherid",
    "microsoft_advertising_id": "microsoftadvertisingid",
    "microsoft_publisher_id": "microsoftpublisherid",
    "fire_advertising_id": "fireadvertisingid",
    "amp_id": "ampid",
    "push_token": "pushtoken",
    "mp_deviceid": "deviceapplicationstamp",
}
"""The column of each identity type: a repeated record with the field `id`."""


class BigQuerySettings(GoogleSettings):
    """Where the tables are."""

    project: str = Field(description="The Google Cloud project.")
    dataset: str = Field(description="The dataset; it must exist, its tables are created.")


class BigQueryConnection(ConnectionSettings):
    """What the tables are called."""

    table: str | None = Field(
        None,
        description="One table for all time; default: one a week, named after the audience.",
    )


class BigQuery(GoogleConnector[BigQuerySettings, BigQueryConnection]):
    """Rows of changes."""

    name = "bigquery"
    title = "BigQuery"
    summary = "Writes changes as rows, to a table per audience and week."
    output_settings = BigQuerySettings
    connection_settings = BigQueryConnection
    identities = frozenset(_COLUMNS)
    takes_attributes = True
    pattern = "stream"
    batching: ClassVar[Batching] = Batching(count=5_000, size=8_000_000, interval_ms=10_000)
    scope = "https://www.googleapis.com/auth/bigquery"

    def deliver(self, changes: Sequence[OutputChange[BigQueryConnection]]) -> Delivery:
        """Each table is looked for, and made where it is missing, before rows go there."""
        tables: dict[str, list[int]] = {}
        for place, change in enumerate(changes):
            if change.action == AUDIENCE_DELETE:  # no row: rows are changes of somebody
                continue
            tables.setdefault(_table(change), []).append(place)
        rejected: dict[int, str] = {}
        for table, places in tables.items():
            yield from self._ensure(table)
            rows = [_row(changes[place]) for place in places]
            for piece in fitting([len(row) for row in rows], _ROWS, _SIZE):
                answer = yield self._insert(table, rows[piece])
                if not answer.ok:
                    raise self._refused(table, answer)
                for place, why in _invalid(answer, len(rows[piece])).items():
                    if _NO_COLUMN in why:  # every row would be refused
                        raise self._unlike(changes[places[piece][place]], table, why)
                    rejected[places[piece][place]] = why
        return Outcome(rejected)

    def _ensure(self, table: str) -> Delivery:
        answer = yield Request("GET", f"{self._base}/tables/{table}?fields=id")
        if answer.status == _MISSING:
            content = {
                "tableReference": {
                    "projectId": self.settings.project,
                    "datasetId": self.settings.dataset,
                    "tableId": table,
                },
                "schema": {"fields": _SCHEMA},
            }
            answer = yield json_request("POST", f"{self._base}/tables", content)
        if not answer.ok and answer.status != _EXISTS:
            raise self._refused(table, answer)
        return Outcome()

    def _insert(self, table: str, rows: Sequence[bytes]) -> Request:
        body = b'{"skipInvalidRows":true,"ignoreUnknownValues":false,"rows":['
        url = f"{self._base}/tables/{table}/insertAll"
        return Request("POST", url, body + b",".join(rows) + b"]}", _JSON)

    def classify(self, request: Request, answer: Answer) -> TryAgain | Fault | None:
        """A new table accepts no rows for some minutes; a row may fail for a moment."""
        if request.url.endswith("/insertAll"):
            if answer.status == _MISSING:
                return TryAgain()
            for error in answer.objects("insertErrors"):
                if any(reason in _PASSING for reason in _row_reasons(error)):
                    return TryAgain()
        return super().classify(request, answer)

    def _refused(self, table: str, answer: Answer) -> Fault:
        words, _ = reasons(answer)
        return Fault(
            "output",
            f"BigQuery refused rows for {self.settings.dataset}.{table}: {words}; check the "
            f"project, the dataset and the table's columns, then resume output {self.output}",
        )

    def _unlike(self, change: OutputChange[BigQueryConnection], table: str, why: str) -> Fault:
        return Fault(
            "connection",
            f"the BigQuery table {self.settings.dataset}.{table} lacks a column: {why}; add it, or "
            f"give {change.connection} another table, then resume the connection",
        )

    @property
    def _base(self) -> str:
        settings = self.settings
        host = (settings.api_url or "https://bigquery.googleapis.com").rstrip("/")
        return f"{host}/bigquery/v2/projects/{settings.project}/datasets/{settings.dataset}"


def _table(change: OutputChange[BigQueryConnection]) -> str:
    if change.settings.table:
        return change.settings.table
    day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=change.effective_at // 86_400_000)
    monday = day - timedelta(days=day.weekday())
    rest = f"_{plain(change.audience_id)}_{monday:%Y%m%d}".replace("-", "_").replace(".", "_")
    name = plain(change.audience_name).replace("-", "_").replace(".", "_")
    return name[: _TABLE_NAME - len(rest)] + rest


def _row(change: OutputChange[BigQueryConnection]) -> bytes:
    row: dict[str, Any] = {
        "audienceid": change.audience_id,
        "audiencename": change.audience_name,
        "mpid": change.mpid,
        "isadd": change.action != DELETE,
        "timestamp": str(change.effective_at),
        "messageid": change.message_id,
    }
    for identity_type, identity in change.identities:
        column = _COLUMNS.get(identity_type)
        if column is not None:
            row.setdefault(column, []).append({"id": identity})
    if change.attributes:
        row["userattributes"] = [
            {"attributename": name, "attributevalue": _text(value)}
            for name, value in change.attributes.items()
        ]
    insert_id = f"{change.message_id}@{change.connection}"
    if len(insert_id) > _INSERT_ID:
        insert_id = sha256(insert_id.encode()).hexdigest()
    return json_bytes({"insertId": insert_id, "json": row})


def _text(value: object) -> str | None:
    return value if isinstance(value, str) or value is None else json_bytes(value).decode()


def _row_reasons(error: dict[str, Any]) -> list[str]:
    errors = error.get("errors")
    if not isinstance(errors, list):
        return []
    return [str(one.get("reason")) for one in errors if isinstance(one, dict)]


def _invalid(answer: Answer, count: int) -> dict[int, str]:
    invalid: dict[int, str] = {}
    for error in answer.objects("insertErrors"):
        place = error.get("index")
        if isinstance(place, int) and 0 <= place < count:
            invalid[place] = json.dumps(error.get("errors"))[:300]
    return invalid


def _field(name: str, kind: str, mode: str = "NULLABLE", *fields: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "type": kind, "mode": mode}
    return made | {"fields": list(fields)} if fields else made


_SCHEMA: Final = [
    _field("audienceid", "STRING", "REQUIRED"),
    _field("audiencename", "STRING"),
    _field("mpid", "INTEGER", "REQUIRED"),
    _field("isadd", "BOOLEAN", "REQUIRED"),
    _field("timestamp", "STRING", "REQUIRED"),
    _field("messageid", "STRING", "REQUIRED"),
    *(_field(column, "RECORD", "REPEATED", _field("id", "STRING")) for column in _COLUMNS.values()),
    _field(
        "userattributes",
        "RECORD",
        "REPEATED",
        _field("attributename", "STRING"),
        _field("attributevalue", "STRING"),
    ),
]
