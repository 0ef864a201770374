"""Who is in after records of changes, read from a file or a topic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Members = dict[str, dict[str, str]]


def members_after(messages: Iterable[Mapping[str, Any]]) -> Members:
    """mpid -> identities; a message that was seen before is passed over."""
    seen: set[tuple[str, str]] = set()
    members: Members = {}
    for message in messages:
        key = message["message_id"], message["connection"]
        if key in seen:
            continue
        seen.add(key)
        if message["action"] == "audience_delete":
            members.clear()
            continue
        told = {one["identity_type"]: one["identity"] for one in message["user_identities"]}
        held = members.setdefault(message["mpid"], {})
        if message["action"] != "delete":
            held |= told
            continue
        for name in told:
            held.pop(name, None)
        if not held or ":identity:" not in message["message_id"]:
            del members[message["mpid"]]
    return members
