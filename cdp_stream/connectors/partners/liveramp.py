"""LiveRamp: files in a bucket that LiveRamp reads, a column saying who is in.

LiveRamp accepts no removals: an upload extends and changes what it knows of a row's key (its
"incremental update", the usual one). So each row has `1` or `0` for its audience, and the segment
to distribute is the value `1`. Known and device identifiers must not share a file.

Sources: docs.liveramp.com/connect/en/ways-to-update-an-existing-audience.html,
.../formatting-column-based-files.html (headers in capitals, the same in every file) and
.../formatting-identifiers.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import Field

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.exchange import Delivery, Outcome
from cdp_stream.connectors.members.hashing import (
    DEVICES,
    PHONES,
    email_sha256,
    normal_device_id,
    normal_phone,
    sha1_hex,
)
from cdp_stream.connectors.members.members import Form, last_of_each_form
from cdp_stream.connectors.settings import ConnectionSettings
from cdp_stream.connectors.storage.bucket import BucketConnector, BucketSettings
from cdp_stream.connectors.storage.objects import guid, plain, stamp

__all__ = ["LiveRamp"]

_HEADERS: Final = {"content-type": "text/csv"}


def _phone(text: str) -> str:
    phone = normal_phone(text)
    return sha1_hex(phone) if phone else ""


_HEADS: Final = {"PII": "AUDIENCEKEY,SHA256EMAIL,SHA1PHONE", "D": "AUDIENCEKEY,IDFA,AAID"}
"""Kind of file -> its columns, but for the last one."""

_PLACES: Final = {
    "email": ("PII", "{0},{0},,"),
    **dict.fromkeys(PHONES, ("PII", "{0},,{0},")),
    "ios_advertising_id": ("D", "{0},{0},,"),
    "android_advertising_id": ("D", "{0},,{0},"),
}
"""Identity type -> the kind of file, and its row. Hashes and device ids need no quotes in CSV."""

_FORMS: Final[dict[str, Form]] = {
    "email": email_sha256,
    **dict.fromkeys(PHONES, _phone),
    **dict.fromkeys(DEVICES, normal_device_id),
}


class LiveRampConnection(ConnectionSettings):
    """The audience's column."""

    field: str | None = Field(
        None, description="The column of the membership; default: the audience's id in capitals."
    )


class LiveRamp(BucketConnector[BucketSettings, LiveRampConnection]):
    """Files of who is in and who is not any more."""

    name = "liveramp"
    title = "LiveRamp"
    summary = "Writes files to a bucket that LiveRamp reads, with a column of the membership."
    output_settings = BucketSettings
    connection_settings = LiveRampConnection
    identities = frozenset(_FORMS)

    def deliver(self, changes: Sequence[OutputChange[LiveRampConnection]]) -> Delivery:
        """A file of each kind that has rows; of each identity only its last change.

        A row is an identity, and its own key: a profile that loses one of two is still in by the
        other.
        """
        first = changes[0]
        field = "".join(filter(str.isalnum, first.settings.field or first.audience_id)) or "MEMBER"
        members, refused = last_of_each_form(changes, _FORMS)
        files: dict[str, list[str]] = {kind: [] for kind in _HEADS}
        for one in members:
            kind, row = _PLACES[one.identity_type]
            files[kind].append(row.format(one.identity) + ("1\n" if one.is_in else "0\n"))
        for kind, rows in files.items():
            if rows:
                body = f"{_HEADS[kind]},{field.upper()}\n{''.join(rows)}".encode()
                yield from self.put(f"{_name(changes, kind)}.csv", body, _HEADERS)
        return Outcome(refused)


def _name(changes: Sequence[OutputChange[LiveRampConnection]], kind: str) -> str:
    audience = plain(changes[0].audience_id)
    return f"{audience}-{kind}_{stamp(changes, '%Y-%m-%d')}_{guid(changes)}"
