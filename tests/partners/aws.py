"""AWS: signatures checked as AWS's documentation describes them, without botocore."""

from __future__ import annotations

import base64
import csv
import gzip
import hmac
import io
import json
from abc import abstractmethod
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from cdp_stream.connectors.exchange import Answer, Request
from tests.partners.partner import Partner, Refused, Served, json_answer

KEYS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE"}
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "eu-west-1"


def signature(request: Request, secret: str, signed: list[str], scope: str) -> str:
    """Signature Version 4, step by step."""
    address = urlsplit(request.url)
    headers = {name.lower(): " ".join(value.split()) for name, value in request.headers.items()}
    headers.setdefault("host", address.netloc)
    stamp = headers["x-amz-date"]
    digest = headers.get("x-amz-content-sha256", sha256(request.body).hexdigest())
    query = "&".join(sorted(address.query.split("&"))) if address.query else ""
    canonical = "\n".join(
        [
            request.method,
            address.path or "/",
            query,
            *(f"{name}:{headers[name]}" for name in signed),
            "",
            ";".join(signed),
            digest,
        ]
    )
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


class Aws(Partner):
    """Asks for a signature, no older than a quarter of an hour by its own clock."""

    service = ""

    def __init__(self, now: int) -> None:
        super().__init__()
        self.now = now
        self.asked: Request | None = None

    def answer(self, request: Request) -> Answer:
        self.asked = request
        return super().answer(request)

    def authorize(self, request: Served) -> None:
        assert self.asked is not None
        kind, _, rest = request.headers["authorization"].partition(" ")
        said = dict(part.split("=", 1) for part in rest.split(", "))
        key_id, _, scope = said["Credential"].partition("/")
        day, region, service, end = scope.split("/")
        signed = said["SignedHeaders"].split(";")
        age = self.now / 1000 - _instant(request.headers["x-amz-date"])
        right = (
            kind == "AWS4-HMAC-SHA256"
            and key_id == KEYS["access_key_id"]
            and (day, region, service, end)
            == (request.headers["x-amz-date"][:8], REGION, self.service, "aws4_request")
            and signed == sorted(signed)
            and {"host", "x-amz-date"} <= set(signed)
            and abs(age) <= 900
            and said["Signature"] == signature(self.asked, SECRET, signed, scope)
        )
        if not right:
            raise Refused(self.forbidden())

    @abstractmethod
    def forbidden(self) -> Answer: ...


def _instant(stamp: str) -> float:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def s3_error(status: int, code: str) -> Answer:
    """An error as S3 words it."""
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
    return Answer(status, text.encode(), {"content-type": "application/xml"})


class Store(Aws):
    """S3: objects by key, in the order in which they were first put."""

    service = "s3"

    def __init__(self, now: int, bucket: str = "acme-audiences") -> None:
        super().__init__(now)
        self.bucket = bucket
        self.objects: dict[str, bytes] = {}

    def forbidden(self) -> Answer:
        return s3_error(403, "SignatureDoesNotMatch")

    def handle(self, request: Served) -> Answer:
        assert self.asked is not None
        key = request.path.lstrip("/")
        if not urlsplit(self.asked.url).netloc.startswith(f"{self.bucket}."):
            bucket, _, key = key.partition("/")
            if bucket != self.bucket:
                raise Refused(s3_error(404, "NoSuchBucket"))
        if request.headers.get("x-amz-content-sha256") != sha256(request.raw).hexdigest():
            raise Refused(s3_error(400, "XAmzContentSHA256Mismatch"))
        if request.method != "PUT" or not 0 < len(key) <= 1024:
            raise Refused(s3_error(405, "MethodNotAllowed"))
        self.objects[key] = request.raw
        return Answer(200, b"", {"etag": '"1"'})

    def members(self, list_id: str | None) -> set[str]:
        """Who is in, as the objects say in their order."""
        held: set[str] = set()
        for key, raw in self.objects.items():
            body = gzip.decompress(raw) if key.endswith(".gz") else raw
            for action, ids in _changes(body.decode(), ".csv" in key):
                held = held - ids if action == "delete" else held | ids
        return held


def _changes(text: str, is_csv: bool) -> list[tuple[str, set[str]]]:
    if is_csv:
        return [(row["action"], {row["identity"]}) for row in csv.DictReader(io.StringIO(text))]
    lines = [json.loads(line) for line in text.splitlines()]
    return [(one["action"], {each["identity"] for each in one["user_identities"]}) for one in lines]


class Onboarding(Store):
    """LiveRamp: takes files from a bucket and updates what it knows of each key ("incremental")."""

    def members(self, list_id: str | None) -> set[str]:
        values: dict[str, str] = {}
        headers: dict[str, list[str]] = {}
        for key, body in self.objects.items():
            rows = list(csv.reader(io.StringIO(body.decode())))
            kind = "D" if "-D_" in key else "PII"
            assert headers.setdefault(kind, rows[0]) == rows[0], "headers must stay as they are"
            assert rows[0] == [one.upper() for one in rows[0]]
            for row in rows[1:]:
                assert len(row) == len(rows[0])
                assert row[0] in row[1:-1]
                values[row[0]] = row[-1]
        return {key for key, value in values.items() if value == "1"}


def firehose_error(status: int, kind: str, message: str = "no") -> Answer:
    """An error as Firehose words it."""
    return json_answer(status, {"__type": kind, "message": message})


class Stream(Aws):
    """Firehose: records; every fifth is too much for it at first.

    Attributes:
        records: what it has taken, in the order of arrival, repetitions left out.
    """

    service = "firehose"
    most_bytes = 6 * 1024 * 1024

    def __init__(self, now: int, name: str = "audiences", troubled: bool = True) -> None:
        super().__init__(now)
        self.name = name
        self.troubled = troubled
        self.refused: set[bytes] = set()
        self.arrived = 0
        self.records: dict[bytes, dict[str, Any]] = {}

    def forbidden(self) -> Answer:
        return firehose_error(403, "InvalidSignatureException")

    def handle(self, request: Served) -> Answer:
        if request.headers.get("x-amz-target") != "Firehose_20150804.PutRecordBatch":
            raise Refused(firehose_error(400, "UnknownOperationException"))
        body = request.json()
        if body["DeliveryStreamName"] != self.name:
            raise Refused(firehose_error(400, "ResourceNotFoundException"))
        records = [base64.b64decode(one["Data"], validate=True) for one in body["Records"]]
        whole = sum(map(len, records)) <= 4 * 1024 * 1024
        if not (0 < len(records) <= 500 and whole and max(map(len, records)) <= 1000 * 1024):
            raise Refused(firehose_error(400, "InvalidArgumentException"))
        answers = [self.take(one) for one in records]
        failed = sum("ErrorCode" in one for one in answers)
        return json_answer(200, {"FailedPutCount": failed, "RequestResponses": answers})

    def take(self, record: bytes) -> dict[str, str]:
        self.arrived += 1
        if self.troubled and self.arrived % 5 == 0 and record not in self.refused:
            self.refused.add(record)
            return {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}
        assert record.endswith(b"\n")
        self.records.setdefault(record, json.loads(record))
        return {"RecordId": str(self.arrived)}

    def members(self, list_id: str | None) -> set[str]:
        """Who is in; Firehose says no order, so by the records' own."""
        held: set[str] = set()
        moments = sorted(
            self.records.values(),
            key=lambda one: (int(one["MembershipChangedTimestamp"]), one["MessageId"]),
        )
        for one in moments:
            ids = {value for key, value in one["UserIdentities"].items() if key != "MPID"}
            held = held | ids if one["IsMember"] else held - ids
        return held
