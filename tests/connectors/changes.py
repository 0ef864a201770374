"""Changes as the sinks hand them to a connector, and streams of them that an engine could write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from cdp_stream.connectors.change import (
    ADD,
    ATTRIBUTE_UPDATE,
    AUDIENCE_DELETE,
    DELETE,
    OutputChange,
)
from cdp_stream.connectors.connector import AnyConnector

AUDIENCE = "vip"
AUDIENCE_NAME = "VIP customers"
NOON = 1_754_049_600_000  # 2025-08-01T12:00:00Z
MPIDS = ("101", "102", "103", "9007199254740993")

_SAMPLES = {
    "email": "ann{n}@example.com",
    "mobile_number": "+4479460000{n:02d}",
    "phone_number_2": "+4479461000{n:02d}",
    "phone_number_3": "+4479462000{n:02d}",
    "ios_advertising_id": "a6d1f7f0-0d3e-4c7d-9a55-0000000000{n:02d}",
    "ios_idfv": "b6d1f7f0-0d3e-4c7d-9a55-0000000000{n:02d}",
    "android_advertising_id": "c6d1f7f0-0d3e-4c7d-9a55-0000000000{n:02d}",
    "android_uuid": "9774d56d682e00{n:02d}",
    "roku_advertising_id": "d6d1f7f0-0d3e-4c7d-9a55-0000000000{n:02d}",
    "fire_advertising_id": "e6d1f7f0-0d3e-4c7d-9a55-0000000000{n:02d}",
    "facebook": "1000000000{n:02d}",
    "twitter": "2000000000{n:02d}",
}


def identity(identity_type: str, n: int) -> str:
    """The n-th value of a type (n < 100): in a form that every partner takes, no two alike."""
    return _SAMPLES.get(identity_type, identity_type.replace("_", "-") + "-{n:02d}").format(n=n)


def change(
    action: str = ADD,
    *,
    mpid: str = "101",
    identities: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    attributes: Mapping[str, Any] | None = None,
    at: int = NOON,
    ordinal: int = 0,
    audience: str = AUDIENCE,
    name: str = AUDIENCE_NAME,
    variant: str | None = None,
    output: str = "out",
    settings: Any = None,
    list_id: str | None = None,
    kind: str | None = None,
) -> OutputChange[Any]:
    """One change; the message agrees with the rest.

    Args:
        kind: `identity`, `attributes` or `activation`: a message of the connection's own.
    """
    pairs = identities.items() if isinstance(identities, Mapping) else identities
    held = tuple(sorted(pairs))
    if action == AUDIENCE_DELETE:
        mpid = ""
    audience_name = name if variant is None else f"{name} - {variant}"
    connection = f"{audience}@{output}" if variant is None else f"{audience}#{variant}@{output}"
    shared = dict(attributes or {})
    if kind is None and action == AUDIENCE_DELETE:
        kind = "audience_delete"
    place = ordinal if kind is None else f"{connection}:{kind}:{ordinal}"
    message = {
        "message_id": f"{audience}:{mpid}:{at}:{place}",
        "action": action,
        "account_id": "acme",
        "audience_id": audience,
        "audience_name": audience_name,
        "mpid": mpid,
        "effective_at": at,
        "ordinal": ordinal,
        "variant": variant,
        "cause": {"kind": "event", "criterion": "event: Buy", "event_id": "e1", "event_time": at},
        "definition": "7b1d25d8a59d",
        "user_identities": [
            {"identity_type": identity_type, "identity": value} for identity_type, value in held
        ],
        "user_attributes": shared,
        "connection": connection,
        "settings": json.loads(settings.model_dump_json()) if settings is not None else {},
    }
    return OutputChange(
        message_id=str(message["message_id"]),
        action=action,
        audience_id=audience,
        audience_name=audience_name,
        mpid=mpid,
        effective_at=at,
        variant=variant,
        identities=held,
        attributes=shared,
        connection=connection,
        settings=settings,
        list_id=list_id,
        message=message,
    )


@dataclass
class Stream:
    """Changes in the order of an output's topic, and who is in after them.

    Attributes:
        members: mpid -> the identities under which it is in.
    """

    changes: list[OutputChange[Any]] = field(default_factory=list)
    members: dict[str, dict[str, str]] = field(default_factory=dict)


def identity_types(connector: type[AnyConnector]) -> list[str]:
    """Those that it accepts; where that is every one, a few."""
    return sorted(connector.identities or {"customer_id", "email", "mobile_number"})


@st.composite
def streams(draw: st.DrawFn, types: Sequence[str], **fields: Any) -> Stream:
    """What the engine could write for one audience: profiles come, go and come back, and change
    identities and attributes while they are in.
    """
    stream = Stream()
    fresh = iter(range(100))

    def write(action: str, mpid: str, held: Mapping[str, str], kind: str | None = None) -> None:
        at = NOON + 1000 * len(stream.changes)
        made = change(action, mpid=mpid, identities=held, at=at, kind=kind, **fields)
        stream.changes.append(made)

    for _ in range(draw(st.integers(1, 25))):
        mpid = draw(st.sampled_from(MPIDS))
        held = stream.members.get(mpid)
        if held is None:
            some = draw(st.lists(st.sampled_from(types), min_size=1, unique=True))
            number = MPIDS.index(mpid) + 10 * draw(st.integers(0, 1))
            stream.members[mpid] = {one: identity(one, number) for one in some}
            write(ADD, mpid, stream.members[mpid])
            continue
        step = draw(st.sampled_from(["leave", "leave", "replace", "attributes"]))
        if step == "leave":
            write(DELETE, mpid, stream.members.pop(mpid))
        elif step == "attributes":
            write(ATTRIBUTE_UPDATE, mpid, held, "attributes")
        else:
            one = draw(st.sampled_from(sorted(held)))
            write(DELETE, mpid, {one: held[one]}, "identity")
            held[one] = identity(one, 20 + next(fresh))
            write(ADD, mpid, {one: held[one]}, "identity")
    return stream
