"""LiveRamp: files in a bucket that LiveRamp reads, a column saying who is in.

LiveRamp takes no removals: an upload extends and changes what it knows of a row's key (its
"incremental update", the usual one). So each row says `1` or `0` for its audience, and the segment
to distribute is the value `1`. Known and device identifiers must not share a file.

Sources: docs.liveramp.com/connect/en/ways-to-update-an-existing-audience.html,
.../formatting-column-based-files.html (headers in capitals, the same in every file) and
.../formatting-identifiers.html.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import Field

from cdp_stream.connectors.bucket import BucketConnector, BucketSettings
from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.exchange import Delivery, Outcome
from cdp_stream.connectors.hashing import (
    normal_device_id,
    normal_email,
    normal_phone,
    sha1_hex,
    sha256_hex,
)
from cdp_stream.connectors.members import Form, Member, last_of_each_form
from cdp_stream.connectors.objects import guid, plain, stamp
from cdp_stream.connectors.settings import ConnectionSettings

__all__ = ["LiveRamp"]

_HEADERS: Final = {"content-type": "text/csv"}


def _email(text: str) -> str:
    email = normal_email(text)
    return sha256_hex(email) if 0 < email.find("@") < len(email) - 1 else ""


def _phone(text: str) -> str:
    phone = normal_phone(text)
    return sha1_hex(phone) if phone else ""


_COLUMNS: Final[dict[str, dict[str, frozenset[str]]]] = {
    "PII": {
        "SHA256EMAIL": frozenset(("email",)),
        "SHA1PHONE": frozenset(("mobile_number", "phone_number_2", "phone_number_3")),
    },
    "D": {
        "IDFA": frozenset(("ios_advertising_id",)),
        "AAID": frozenset(("android_advertising_id",)),
    },
}
"""Kind of file -> column -> the identity types in it."""

_FORMS: Final[dict[str, Form]] = {
    "email": _email,
    "mobile_number": _phone,
    "phone_number_2": _phone,
    "phone_number_3": _phone,
    "ios_advertising_id": normal_device_id,
    "android_advertising_id": normal_device_id,
}


class LiveRampConnection(ConnectionSettings):
    """The audience's column."""

    field: str | None = Field(
        None, description="The column that says who is in; default: the audience's id in capitals."
    )


class LiveRamp(BucketConnector[BucketSettings, LiveRampConnection]):
    """Files of who is in and who is not any more."""

    name = "liveramp"
    title = "LiveRamp"
    summary = "Writes files to a bucket that LiveRamp reads, with a column that says who is in."
    output_settings = BucketSettings
    connection_settings = LiveRampConnection
    identities = frozenset(_FORMS)

    def deliver(self, changes: Sequence[OutputChange[LiveRampConnection]]) -> Delivery:
        """A file of each kind that there is something for; of each identity the last word alone.

        A row is an identity, and its own key: a profile that loses one of two is still in by the
        other.
        """
        first = changes[0]
        field = first.settings.field or "".join(one for one in first.audience_id if one.isalnum())
        members, refused = last_of_each_form(changes, _FORMS)
        for kind, columns in _COLUMNS.items():
            rows = [
                (one.identity, *cells, int(one.is_in))
                for one in members
                if any(cells := _cells(one, columns))
            ]
            if not rows:
                continue
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(("AUDIENCEKEY", *columns, field.upper()))
            writer.writerows(rows)
            name = f"{plain(first.audience_id)}-{kind}_{stamp(changes, '%Y-%m-%d')}_{guid(changes)}"
            yield from self.put(f"{name}.csv", text.getvalue().encode(), _HEADERS)
        return Outcome(refused)


def _cells(member: Member, columns: Mapping[str, frozenset[str]]) -> list[str]:
    return [member.identity if member.identity_type in types else "" for types in columns.values()]
