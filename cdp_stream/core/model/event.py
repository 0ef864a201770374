"""An event batch, decoded and validated: the only input of the engine besides passing time.

Source: docs/events.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class Event:
    """One thing a profile did.

    Attributes:
        occurred_at: epoch ms, at most the batch's arrival.
        kind: one of `subject.SUBJECTS` (never `attribution`: that is a custom event),
            `INSTALL_AND_UPGRADE`, `OPT_OUT` or `UNREAD`.
        name: as sent (not folded): event or screen name, commerce action, `start`/`end` for
            sessions, `out`/`in` for opt-outs, else empty.
        custom_event_type: as sent, empty when absent or not text.
        data: the event's `data` object as decoded JSON, only read.
        message_id: `source_message_id`, None when absent.
        digest: 64-bit signed digest of it, None when absent.
        index: its place in the batch's `events` array, from 0.
    """

    __slots__ = (
        "custom_event_type", "data", "digest", "index", "kind", "message_id", "name", "occurred_at",
    )  # fmt: skip

    def __init__(
        self,
        occurred_at: int,
        kind: str,
        name: str,
        custom_event_type: str,
        data: dict[str, Any],
        message_id: str | None,
        digest: int | None,
        index: int,
    ) -> None:
        self.occurred_at = occurred_at
        self.kind = kind
        self.name = name
        self.custom_event_type = custom_event_type
        self.data = data
        self.message_id = message_id
        self.digest = digest
        self.index = index


@dataclass(frozen=True, slots=True)
class Facts:
    """What a batch has about a profile's device, consent, location and attribution.

    Attributes:
        device: what identifies the device, and its `device_info`; None when absent.
        consent: `gdpr:PURPOSE` or `ccpa` -> `consented`, None to remove; a key that ends with `:`
            or is `ccpa` with None removes all of its regulation.
        location: a location object's known members, None when it has none.
        attribution: `publisher` and `campaign` as text, None when absent.
    """

    device: tuple[str, dict[str, Any]] | None = None
    consent: dict[str, bool | None] = field(default_factory=dict)
    location: dict[str, Any] | None = None
    attribution: dict[str, str] | None = None


class ProfilePart:
    """What a batch has about the profile itself; empty members change nothing.

    Attributes:
        attributes: user attributes to write; keys that begin with `$` are case-folded; null is a
            tag.
        deleted: keys to remove after that; `$` keys folded.
        identities: identity type -> text, None to remove.
        size: bytes it may add to the row at most.
        facts: what else it has about the profile within the workspace, None when nothing.
    """

    __slots__ = ("attributes", "deleted", "facts", "identities", "size")

    def __init__(
        self,
        attributes: dict[str, Any],
        deleted: list[str],
        identities: dict[str, str | None],
        size: int,
        facts: Facts | None = None,
    ) -> None:
        self.facts = facts
        self.attributes = attributes
        self.deleted = deleted
        self.identities = identities
        self.size = size


class Batch:
    """One profile's events and profile part, as published in one record.

    Attributes:
        mpid: the profile id, a signed 64-bit integer.
        input: the id of the input it came from, one of the plan's.
        arrival: epoch ms.
        events: in order of `occurred_at`, ties in array order.
        profile: None when the batch has no profile part.
        digest: 64-bit signed digest of `source_request_id`, None when absent.
        device: `device_info` as decoded JSON, empty when absent; what `where: device` reads.
        application: `application_info`, likewise for `where: app`.
    """

    __slots__ = ("application", "arrival", "device", "digest", "events", "input", "mpid", "profile")

    def __init__(
        self,
        mpid: int,
        input: str,  # noqa: A002 - the specification's word
        arrival: int,
        events: list[Event],
        profile: ProfilePart | None,
        digest: int | None,
        device: dict[str, Any],
        application: dict[str, Any],
    ) -> None:
        self.mpid = mpid
        self.input = input
        self.arrival = arrival
        self.events = events
        self.profile = profile
        self.digest = digest
        self.device = device
        self.application = application
