"""Google Cloud Storage: objects of changes, one JSON object a line.

Objects hold what changed, not who is in. An object is written once: its name follows from the
changes in it, and one that is there already is as good as written.

Source: cloud.google.com/storage/docs/json_api/v1/objects/insert (`ifGenerationMatch=0`: only where
there is none of that name, else 412).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

from pydantic import Field

from cdp_stream.connectors.auth.google import GoogleConnector, GoogleSettings, reasons
from cdp_stream.connectors.change import AUDIENCE_DELETE, DELETE, OutputChange, json_bytes
from cdp_stream.connectors.connector import Batching
from cdp_stream.connectors.exchange import Delivery, Fault, Outcome, Request
from cdp_stream.connectors.settings import ConnectionSettings
from cdp_stream.connectors.storage.objects import ObjectGathering, gathering, guid, plain, stamp

__all__ = ["GoogleCloudStorage"]

_SIZE: Final = 32_000_000
_EXISTS: Final = 412
_HEADERS: Final = {"content-type": "application/x-ndjson"}


class StorageSettings(GoogleSettings, ObjectGathering):
    """Which bucket."""

    bucket: str = Field(description="The bucket.")
    prefix: str = Field("", description="Prefix of every object's name, as `audiences/`.")


class StorageConnection(ConnectionSettings):
    """What is written of an audience."""

    include_deletes: bool = Field(True, description="Whether removals are written too.")


class GoogleCloudStorage(GoogleConnector[StorageSettings, StorageConnection]):
    """Objects of changes."""

    name = "google-cloud-storage"
    title = "Google Cloud Storage"
    summary = "Writes changes to objects of a bucket, one JSON object a line."
    output_settings = StorageSettings
    connection_settings = StorageConnection
    pattern = "stream"
    batching = Batching(count=50_000, size=_SIZE, interval_ms=300_000)
    scope = "https://www.googleapis.com/auth/devstorage.read_write"

    def __init__(self, output: str, settings: StorageSettings) -> None:
        super().__init__(output, settings)
        self._gathering = gathering(settings, _SIZE)

    @property
    def gathering(self) -> Batching:
        """As the settings have it."""
        return self._gathering

    def deliver(self, changes: Sequence[OutputChange[StorageConnection]]) -> Delivery:
        """One object."""
        written = [
            one
            for one in changes
            if one.action != AUDIENCE_DELETE  # lines are changes of somebody
            and (one.action != DELETE or one.settings.include_deletes)
        ]
        if not written:
            return Outcome()
        body = b"".join(line for change in written for line in _lines(change))
        answer = yield Request("POST", self._url(written), body, _HEADERS)
        if not answer.ok and answer.status != _EXISTS:
            words, _ = reasons(answer)
            raise Fault(
                "output",
                f"Google Cloud Storage refused an object for bucket {self.settings.bucket}: "
                f"{words}; check the bucket, then resume output {self.output}",
            )
        return Outcome()

    def _url(self, changes: Sequence[OutputChange[StorageConnection]]) -> str:
        name = "_".join(
            (
                plain(changes[0].audience_name),
                plain(changes[0].audience_id),
                stamp(changes, "%Y%m%d_%H%M%S"),
                guid(changes),
            )
        )
        host = (self.settings.api_url or "https://storage.googleapis.com").rstrip("/")
        path = quote(f"{self.settings.prefix}{name}.txt", safe="")
        bucket = quote(self.settings.bucket, safe="")
        return (
            f"{host}/upload/storage/v1/b/{bucket}/o"
            f"?uploadType=media&ifGenerationMatch=0&name={path}"
        )


def _lines(change: OutputChange[Any]) -> Iterator[bytes]:
    """A line has one identity of a type; who has more of a type gets more lines."""
    lines: list[dict[str, str]] = [{}]
    for identity_type, identity in change.identities:
        for line in lines:
            if identity_type not in line:
                line[identity_type] = identity
                break
        else:
            lines.append({identity_type: identity})
    for line in lines:
        content = {
            "IsAddRequest": change.action != DELETE,
            "IdentityValues": {**line, "mpid": change.mpid},
            "MembershipChangedTimestamp": change.effective_at,
            "MessageId": change.message_id,
        }
        yield json_bytes(content) + b"\n"
