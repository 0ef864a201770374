"""Objects in a store: what a batch's object is called, and how changes gather for one.

The name follows from the changes in it: an object that is written again after a crash replaces the
first.

Source: docs/connectors (s3, google-cloud-storage, liveramp).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, Field

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching
from cdp_stream.connectors.settings import Duration
from cdp_stream.core.model.durations import duration_ms

__all__ = ["ObjectGathering", "gathering", "guid", "plain", "stamp"]

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


class ObjectGathering(BaseModel):
    """When an object is closed: whichever comes first."""

    rotate_changes: int = Field(
        50_000, ge=1, le=1_000_000, description="Maximum number of changes in an object."
    )
    rotate_after: Duration = Field(
        "5m",
        description="Maximum time from an object's first change to its completion, as a duration.",
    )


def gathering(settings: ObjectGathering, size: int) -> Batching:
    """The gathering that an output's settings choose; `size` in bytes of messages."""
    return Batching(settings.rotate_changes, size, duration_ms(settings.rotate_after) or 0)


def guid(changes: Sequence[OutputChange[Any]]) -> str:
    """A UUID of just these changes to this connection: the same whenever they come again."""
    digest = sha256(changes[0].connection.encode())
    for change in changes:
        digest.update(b"\n" + change.message_id.encode())
    return str(UUID(bytes=digest.digest()[:16], version=5))


def stamp(changes: Sequence[OutputChange[Any]], pattern: str) -> str:
    """The instant of the first change, UTC, as `strftime` writes it."""
    seconds = changes[0].effective_at // 1000
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(pattern)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC).strftime(pattern)


def plain(name: str) -> str:
    """A name with letters, digits, `.`, `_` and `-` alone; everything else becomes one hyphen."""
    return _UNSAFE.sub("-", name).strip("-") or "audience"
