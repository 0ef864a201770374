"""The JSON Schemas of what comes out: changes, what outputs are told, rejects, faults.

Source: docs/memberships.md, docs/outputs.md, docs/events.md (bad input), docs/sinks.md (faults).
"""

from __future__ import annotations

from typing import Final, get_args

from cdp_stream.connectors.describing import DELETIONS
from cdp_stream.core.model.change import ADD, CAUSES, DELETE
from cdp_stream.core.outputs.messages import ATTRIBUTE_UPDATE, AUDIENCE_DELETE
from cdp_stream.formats.definitions_record import VERSION
from cdp_stream.formats.limits import GREATEST_TIME
from cdp_stream.formats.rejects import Reason
from cdp_stream.sinks.state.faults import State
from tests.docs.schemas.batches import MPID_TEXT
from tests.docs.schemas.criteria import Schema, mapping
from tests.docs.schemas.definitions import DRAFT

_TEXT: Final[Schema] = {"type": "string"}
_TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
_INSTANT: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": GREATEST_TIME}
_DECIMAL: Final[Schema] = {"type": "string", "pattern": "^[0-9]+$"}
_VALUE: Final[Schema] = {
    "type": ["string", "number", "boolean", "null", "array"],
    "description": "An integer of more than 64 bits is decimal text.",
}


def _all_of(properties: Schema) -> Schema:
    """An object with all of these members, and no others."""
    return mapping(properties, properties)


def _titled(title: str, schema: Schema) -> Schema:
    return {"$schema": DRAFT, "title": title, **schema}


def _change(actions: tuple[str, ...]) -> Schema:
    """The members of a change, in their order."""
    cause = {
        "kind": {"enum": list(CAUSES)},
        "criterion": _TEXT_OR_NULL | {"description": "The first criterion that flipped."},
        "event_id": _TEXT_OR_NULL | {"description": "The source_message_id of the event."},
        "event_time": {"anyOf": [_INSTANT, {"type": "null"}]},
    }
    identity = {"identity_type": _TEXT, "identity": _TEXT}
    return {
        "message_id": _TEXT | {"description": "The idempotency key."},
        "action": {"enum": list(actions)},
        "account_id": _TEXT,
        "audience_id": _TEXT | {"description": "For a milestone: journey/milestone."},
        "audience_name": _TEXT
        | {"description": "The external name, followed by the variant if any."},
        "mpid": MPID_TEXT | {"description": "The profile."},
        "effective_at": _INSTANT | {"description": "The exact instant of the change, epoch ms."},
        "ordinal": {"type": "integer", "minimum": 0},
        "variant": _TEXT_OR_NULL,
        "cause": _all_of(cause),
        "definition": {"type": "string", "pattern": "^[0-9a-f]{12}$"},
        "user_identities": {"type": "array", "items": _all_of(identity)},
        "user_attributes": {"type": "object", "maxProperties": 0},
    }


def membership_change_schema() -> Schema:
    """A value of `cdp.memberships`; those of `cdp.membership-state` are adds."""
    return _titled("Membership change", _all_of(_change((ADD, DELETE))))


def output_message_schema() -> Schema:
    """A value of `cdp.output.<id>`, and of `cdp.output.<id>.rejected`."""
    own = _change((ADD, DELETE, ATTRIBUTE_UPDATE, AUDIENCE_DELETE)) | {
        "mpid": {"anyOf": [MPID_TEXT, {"const": ""}]},
        "user_attributes": {"type": "object", "additionalProperties": _VALUE},
        "connection": _TEXT,
        "settings": {"type": "object"},
    }
    deletion = {"on_audience_delete": {"enum": list(DELETIONS)}}
    return _titled("Output message", mapping(own | deletion, own))


def rejected_headers_schema() -> Schema:
    """The headers of `cdp.rejected`: UTF-8 text."""
    headers = {
        "reason": {"enum": list(Reason)},
        "detail": _TEXT | {"description": "The JSON path, and what was expected there."},
        "topic": _TEXT,
        "partition": _DECIMAL,
        "offset": _DECIMAL,
    }
    return _titled("Headers of rejected input", _all_of(headers))


def rejected_change_headers_schema() -> Schema:
    """The headers of `cdp.output.<id>.rejected`: UTF-8 text."""
    headers = {
        "reason": _TEXT | {"description": "The partner's answer."},
        "output": _TEXT,
        "offset": _DECIMAL,
    }
    return _titled("Headers of a change that the partner rejects", _all_of(headers))


def fault_schema() -> Schema:
    """A value of `cdp.faults`."""
    record = {
        "id": _TEXT | {"description": "The connection, else the output; the record's key."},
        "output": _TEXT,
        "connection": _TEXT_OR_NULL,
        "state": {"enum": list(get_args(State))},
        "since": _INSTANT,
        "message": _TEXT_OR_NULL,
        "next_step": _TEXT_OR_NULL,
    }
    return _titled("State of an output or a connection", _all_of(record))


def definitions_record_schema() -> Schema:
    """A value of `cdp.definitions`."""
    record = {
        "format": {"const": VERSION, "description": "The format of this record."},
        "version": {"type": "integer", "minimum": 1, "description": "Counts from 1."},
        "digest": {"type": "string", "pattern": "^[0-9a-f]{12}$"},
        "files": {"type": "array", "items": _all_of({"name": _TEXT, "text": _TEXT})},
    }
    return _titled("One applied version of the definitions", _all_of(record))
