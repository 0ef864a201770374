"""The JSON Schema of an event batch: what is read of one, with its limits.

What it refuses is rejected, in whole or in part; limits on bytes and nesting it cannot tell.

Source: docs/events.md.
"""

from __future__ import annotations

from typing import Final

from cdp_stream.core.identity_types import IDENTITY_TYPES
from cdp_stream.formats import limits
from cdp_stream.formats.event_types import READERS
from cdp_stream.formats.profile_facts import ADVERTISING_IDS, DEVICE_FIELDS
from tests.docs.schemas.criteria import Schema
from tests.docs.schemas.definitions import DRAFT

MPID_TEXT: Final[Schema] = {"type": "string", "pattern": "^(0|-?[1-9][0-9]{0,18})$"}

_NULL: Final[Schema] = {"type": "null"}
_TIME: Final[Schema] = {
    "type": ["integer", "null"],
    "minimum": 0,
    "maximum": limits.GREATEST_TIME,
    "description": "Milliseconds since the epoch.",
}
_ID: Final[Schema] = {"type": ["string", "integer", "null"]}
_TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
_SCALAR: Final[Schema] = {"type": ["string", "number", "boolean", "null"]}


def _object(properties: Schema, required: tuple[str, ...] = (), **further: object) -> Schema:
    """An object that may have other members, which are ignored."""
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return schema | further


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, _NULL]}


def _name() -> Schema:
    return {"type": "string", "maxLength": limits.EVENT_NAME}


def _attributes() -> Schema:
    value = _SCALAR | {"maxLength": limits.EVENT_ATTRIBUTE_VALUE}
    return {
        "type": ["object", "null"],
        "maxProperties": limits.EVENT_ATTRIBUTES,
        "propertyNames": {"maxLength": limits.EVENT_ATTRIBUTE_NAME},
        "additionalProperties": value,
        "description": "Custom attributes: text, numbers, booleans and nulls.",
    }


def _items(**members: object) -> Schema:
    item = _object({"custom_attributes": {"$ref": "#/definitions/attributes"}, **members})
    return {"type": ["array", "null"], "items": item}


def _location() -> Schema:
    degrees = {"type": ["number", "null"]}
    return _or_null(_object({"latitude": degrees, "longitude": degrees}))


def _commerce() -> Schema:
    products = {"$ref": "#/definitions/products"}
    action = _or_null(_object({"action": _name(), "products": products}, ("action",)))
    promotion = _or_null(_object({"action": _name(), "promotions": products}, ("action",)))
    parts = {
        "product_action": action,
        "promotion_action": promotion,
        "product_impressions": _items(products=products),
    }
    return _object(parts, anyOf=[{"required": [part]} for part in parts])


_DATA: Final[Schema] = {
    "custom_event": _object({"event_name": _name()}, ("event_name",)),
    "screen_view": _object({"screen_name": _name()}, ("screen_name",)),
    "commerce_event": _commerce(),
}
"""What the data of an event must have, by its type."""


def _event() -> Schema:
    data = _object(
        {
            "timestamp_unixtime_ms": _TIME,
            "source_message_id": _ID | {"description": "Identifies an event that is sent twice."},
            "custom_attributes": {"$ref": "#/definitions/attributes"},
            "location": _location(),
        }
    )
    needs = [
        {
            "if": {"properties": {"event_type": {"const": event_type}}},
            "then": {"properties": {"data": schema}},
        }
        for event_type, schema in _DATA.items()
    ]
    properties = {"event_type": {"enum": sorted(READERS)}, "data": data}
    return _object(properties, ("event_type", "data"), allOf=needs)


def _user_attributes() -> Schema:
    entries = {
        "type": "array",
        "maxItems": limits.LIST_ENTRIES,
        "items": _SCALAR | {"maxLength": limits.LIST_ENTRY},
    }
    value = {"anyOf": [_SCALAR | {"maxLength": limits.USER_ATTRIBUTE_VALUE}, entries]}
    return {
        "type": ["object", "null"],
        "maxProperties": limits.USER_ATTRIBUTES,
        "propertyNames": {"maxLength": limits.USER_ATTRIBUTE_NAME},
        "additionalProperties": value,
        "description": "Attributes of the profile to set. Null is a tag: the key, without a value.",
    }


def _user_identities() -> Schema:
    entry = _object(
        {"identity_type": {"type": "string"}, "identity": _SCALAR}, ("identity_type", "identity")
    )
    by_type = _object(dict.fromkeys(IDENTITY_TYPES, _SCALAR), additionalProperties=_SCALAR)
    return {
        "anyOf": [by_type, {"type": "array", "items": entry}, _NULL],
        "description": "Identities by type, or a list of them. Null removes one.",
    }


def _device() -> Schema:
    fields: Schema = {field: {} for field in sorted({*DEVICE_FIELDS, *ADVERTISING_IDS})}
    return _object(fields) | {"type": ["object", "null"]}


def _consent() -> Schema:
    said = _or_null(
        _object({"consented": {"type": "boolean"}, "timestamp_unixtime_ms": _TIME}, ("consented",))
    )
    purposes = {"type": ["object", "null"], "additionalProperties": said}
    return _object({"gdpr": purposes, "ccpa": purposes}) | {"type": ["object", "null"]}


def batch_schema() -> Schema:
    """The schema of one batch."""
    mpid = {"type": "integer", "minimum": limits.LEAST_MPID, "maximum": limits.GREATEST_MPID}
    attribution = ("service_provider", "publisher", "campaign")
    deleted = {"type": "string", "maxLength": limits.USER_ATTRIBUTE_NAME}
    properties = {
        "mpid": {"anyOf": [mpid, MPID_TEXT], "description": "The profile, as in the key."},
        "api_key": {"description": "Identifies the input, if the record has no header `input`."},
        "timestamp_unixtime_ms": _TIME | {"description": "When the batch was sent, epoch ms."},
        "source_request_id": _ID | {"description": "Identifies a batch that is sent twice."},
        "events": {"type": ["array", "null"], "items": {"$ref": "#/definitions/event"}},
        "user_attributes": _user_attributes(),
        "deleted_user_attributes": {"type": ["array", "null"], "items": deleted},
        "user_identities": _user_identities(),
        "device_info": _device(),
        "application_info": {"type": ["object", "null"]},
        "mp_deviceid": _TEXT_OR_NULL,
        "consent_state": _consent(),
        "context": _object({"location": _location()}) | {"type": ["object", "null"]},
        "attribution_info": _object(dict.fromkeys(attribution, _TEXT_OR_NULL))
        | {"type": ["object", "null"]},
    }
    return {
        "$schema": DRAFT,
        "title": "Event batch",
        **_object(properties, ("mpid",)),
        "definitions": {
            "attributes": _attributes(),
            "products": _items(),
            "event": _event(),
        },
    }
