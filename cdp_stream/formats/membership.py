"""A membership change as the bytes of `cdp.memberships`.

Invariant: equal changes are equal bytes, in every replay: the keys have one order, nothing of the
writer is in them.

Source: docs/memberships.md, a membership change.
"""

from __future__ import annotations

from typing import Any

import orjson

from cdp_stream.core.model.change import Change


def encode_change(change: Change, account_id: str) -> bytes:
    """The JSON of one change; `user_attributes` is empty on `cdp.memberships`."""
    return orjson.dumps(members_of_change(change, account_id))


def members_of_change(change: Change, account_id: str) -> dict[str, Any]:
    """The members of a change's JSON object, in their order; no `user_attributes` yet."""
    cause = change.cause
    return {
        "message_id": change.message_id,
        "action": change.action,
        "account_id": account_id,
        "audience_id": change.audience_id,
        "audience_name": change.audience_name,
        "mpid": str(change.mpid),
        "effective_at": change.effective_at,
        "ordinal": change.ordinal,
        "variant": change.variant,
        "cause": {
            "kind": cause.kind,
            "criterion": cause.criterion,
            "event_id": cause.event_id,
            "event_time": cause.event_time,
        },
        "definition": change.definition,
        "user_identities": [
            {"identity_type": identity_type, "identity": identity}
            for identity_type, identity in change.identities
        ],
        "user_attributes": {},
    }


def mpid_key(mpid: int) -> bytes:
    """The key of a profile's records: decimal ASCII."""
    return b"%d" % mpid


def state_key(audience_id: str, mpid: int) -> bytes:
    """The key in `cdp.membership-state`: `<audience_id>:<mpid>`."""
    return f"{audience_id}:{mpid}".encode()
