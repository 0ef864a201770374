"""Amazon S3: objects of changes, as JSON lines or CSV.

Objects hold what changed, not who is in. An object's key follows from the changes in it: written
again after a crash, it takes the place of itself.

Source: docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from typing import Final, Literal

import orjson
from pydantic import Field

from cdp_stream.connectors.bucket import BucketConnector, BucketSettings
from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.exchange import Delivery
from cdp_stream.connectors.objects import guid, plain, stamp
from cdp_stream.connectors.settings import ConnectionSettings

__all__ = ["S3"]

_COLUMNS: Final = (
    "message_id",
    "action",
    "audience_id",
    "audience_name",
    "variant",
    "mpid",
    "effective_at",
    "identity_type",
    "identity",
    "user_attributes",
)


class S3Settings(BucketSettings):
    """What objects look like."""

    format: Literal["ndjson", "csv"] = Field(
        "ndjson", description="A JSON object a line, or a row for each identity of a change."
    )
    gzip: bool = Field(False, description="Whether objects are packed with gzip.")


class S3(BucketConnector[S3Settings, ConnectionSettings]):
    """Objects of changes."""

    name = "s3"
    title = "Amazon S3"
    summary = "Writes changes to objects of a bucket, as JSON lines or CSV."
    output_settings = S3Settings
    takes_attributes = True
    pattern = "stream"

    def deliver(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Delivery:
        """One object, under its audience and the day of its first change."""
        kind = self.settings.format
        body = _rows(changes) if kind == "csv" else _lines(changes)
        headers = {"content-type": "text/csv" if kind == "csv" else "application/x-ndjson"}
        audience, moment = plain(changes[0].audience_id), stamp(changes, "%Y/%m/%d/%H%M%S")
        key = f"{audience}/{moment}-{guid(changes)}.{kind}"
        if self.settings.gzip:
            body = gzip.compress(body, 6, mtime=0)
            headers["content-type"] = "application/gzip"
            key += ".gz"
        return (yield from self.put(key, body, headers))


def _lines(changes: Sequence[OutputChange[ConnectionSettings]]) -> bytes:
    return b"".join(
        [orjson.dumps(change.message, option=orjson.OPT_APPEND_NEWLINE) for change in changes]
    )


def _rows(changes: Sequence[OutputChange[ConnectionSettings]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for change in changes:
        head = (
            change.message_id,
            change.action,
            change.audience_id,
            change.audience_name,
            change.variant or "",
            change.mpid,
            change.effective_at,
        )
        attributes = orjson.dumps(dict(change.attributes)).decode() if change.attributes else ""
        writer.writerows((*head, *one, attributes) for one in change.identities or [("", "")])
    return text.getvalue().encode()
