"""Amazon S3: objects of changes, as JSON lines or CSV.

Objects hold what changed, not who is in. An object's key follows from the changes in it: written
again after a crash, it replaces itself.

Source: docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.exchange import Delivery
from cdp_stream.connectors.partners.file import CSV_COLUMNS, CsvFormulas, csv_line, csv_row
from cdp_stream.connectors.settings import ConnectionSettings
from cdp_stream.connectors.storage.bucket import BucketConnector, BucketSettings
from cdp_stream.connectors.storage.objects import guid, plain, stamp

__all__ = ["S3"]


class S3Settings(BucketSettings):
    """What objects look like."""

    format: Literal["ndjson", "csv"] = Field(
        "ndjson", description="`ndjson` or `csv`, as the connector `file` writes them."
    )
    csv_formulas: CsvFormulas = "escape"
    gzip: bool = Field(False, description="Whether objects are compressed with gzip.")


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
        kind, formulas = self.settings.format, self.settings.csv_formulas
        rows = [csv_line(CSV_COLUMNS)] if kind == "csv" else []
        for change in changes:
            is_csv = kind == "csv"
            rows.append(csv_row(change.message, formulas) if is_csv else change.json() + b"\n")
        body = b"".join(rows)
        headers = {"content-type": "text/csv" if kind == "csv" else "application/x-ndjson"}
        audience, moment = plain(changes[0].audience_id), stamp(changes, "%Y/%m/%d/%H%M%S")
        key = f"{audience}/{moment}-{guid(changes)}.{kind}"
        if self.settings.gzip:
            body = gzip.compress(body, 6, mtime=0)
            headers["content-type"] = "application/gzip"
            key += ".gz"
        return (yield from self.put(key, body, headers))
