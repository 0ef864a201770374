"""One message of an output, as a connector gets it.

Source: docs/memberships.md, `cdp.output.<id>`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import orjson

C = TypeVar("C")

ADD: Final = "add"
DELETE: Final = "delete"
ATTRIBUTE_UPDATE: Final = "attribute_update"
AUDIENCE_DELETE: Final = "audience_delete"


@dataclass(frozen=True, slots=True)
class OutputChange(Generic[C]):
    """A record of `cdp.output.<id>`, with its connection's settings checked and filled in.

    Attributes:
        action: `ADD`, `DELETE`, `ATTRIBUTE_UPDATE` or `AUDIENCE_DELETE`.
        audience_name: the external name; with a variant `External Name - Variant`.
        mpid: decimal; empty for `AUDIENCE_DELETE`.
        effective_at: epoch ms.
        identities: (type, value), sorted; of the types that the connector accepts.
        attributes: shared attributes by key.
        connection: the connection's id.
        settings: the connection's settings, an instance of the connector's `connection_settings`.
        list_id: the partner's list or audience: of the settings, or the one that the connector
            made; None where it has none or needs none.
        message: the record as decoded JSON, keys in their order, for those that pass it on.
    """

    message_id: str
    action: str
    audience_id: str
    audience_name: str
    mpid: str
    effective_at: int
    variant: str | None
    identities: tuple[tuple[str, str], ...]
    attributes: Mapping[str, Any]
    connection: str
    settings: C
    list_id: str | None
    message: Mapping[str, Any]

    @property
    def of_identity(self) -> bool:
        """Whether one identity of a member came or went: the membership itself stays."""
        return f":{self.connection}:identity:" in self.message_id

    def json(self) -> bytes:
        """The message as one line of JSON, for those that pass it on."""
        return json_bytes(self.message)


def json_bytes(value: object) -> bytes:
    """JSON data as text on one line."""
    try:
        return orjson.dumps(value)
    except TypeError:  # integers beyond 64 bits, halves of characters
        return json.dumps(value, separators=(",", ":")).encode()
