"""The JSON Schema of definition files, for editors.

It knows keys, types, words and forms, not references, nor what holds over several records: what it
refuses `cdp check` refuses too, but not the other way round.

Source: docs/definitions.md.
"""

from __future__ import annotations

from typing import Any, Final

from cdp_stream.connectors.describing import settings_of
from cdp_stream.connectors.registry import CONNECTORS, connector_class
from cdp_stream.definitions.account.event_tiers import TIERS
from cdp_stream.definitions.account.schema import (
    AbTestRecord,
    AcceptanceRecord,
    AudienceRecord,
    CalculatedAttributeRecord,
    ConnectionRecord,
    DocumentRecord,
    InputRecord,
    JourneyRecord,
    MilestoneRecord,
    OutputRecord,
    Record,
    VariantRecord,
    WorkspaceRecord,
)
from cdp_stream.definitions.records.ab_tests import MAX_VARIANTS
from tests.docs.schemas.criteria import (
    DAY,
    DURATION,
    Schema,
    criteria_definitions,
    event_subjects,
    list_of,
    mapping,
    one_subject,
    places,
    ref,
)
from tests.docs.schemas.words import RECORDS, SUBJECT_WORDS

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
"""The dialect that editors' YAML support knows best, and AsyncAPI's own."""

_ACCEPT: Final[Schema] = list_of(ref("acceptance"))


def definitions_schema() -> Schema:
    """The schema of a whole file."""
    document = _record(
        DocumentRecord,
        workspaces={"type": "array", "items": ref("workspace")},
        calculated_attributes={"type": "array", "items": ref("calculated_attribute")},
        audiences={"type": "array", "items": ref("audience")},
        journeys={"type": "array", "items": ref("journey")},
        outputs={"type": "array", "items": ref("output")},
        connections={"type": "array", "items": ref("connection")},
        accept=_ACCEPT,
    )
    return {
        "$schema": DRAFT,
        "title": "cdp-stream definitions",
        **document,
        "definitions": {**_record_definitions(), **criteria_definitions()},
    }


def _record_definitions() -> Schema:
    milestones = list_of(ref("milestone"))
    percent = {"type": "number", "minimum": 0, "maximum": 100}
    return {
        "acceptance": _record(AcceptanceRecord),
        "workspace": _record(
            WorkspaceRecord, inputs=list_of(ref("input")), event_tiers=list_of(ref("event_tier"), 0)
        ),
        "input": _record(InputRecord),
        "event_tier": _event_tier(),
        "calculated_attribute": _record(
            CalculatedAttributeRecord, of=_of(), within=DURATION, since=DAY, accept=_ACCEPT
        ),
        "audience": _record(
            AudienceRecord, criteria=ref("criterion"), ab_test=ref("ab_test"), accept=_ACCEPT
        ),
        "ab_test": _record(
            AbTestRecord, variants=list_of(ref("variant")) | {"maxItems": MAX_VARIANTS - 1}
        ),
        "variant": _record(VariantRecord, percent=percent),
        "journey": _record(JourneyRecord, milestones=milestones, accept=_ACCEPT),
        "milestone": _record(
            MilestoneRecord,
            criteria=ref("criterion"),
            ab_test=ref("ab_test"),
            then=milestones,
            accept=_ACCEPT,
        ),
        "output": {
            **_record(
                OutputRecord, connector={"enum": list(CONNECTORS)}, settings={"type": "object"}
            ),
            "allOf": [_of_connector(name) for name in CONNECTORS],
        },
        "connection": {
            **_record(ConnectionRecord, settings={"type": "object"}),
            "oneOf": [{"required": [key]} for key in ("audience", "audiences", "tags")],
        },
    }


def _record(model: type[Record], **nodes: Schema) -> Schema:
    """The schema of a record, as pydantic has it, with those of the keys that have readers of
    their own.
    """
    schema = model.model_json_schema()
    properties = {}
    for name, found in schema["properties"].items():
        own = nodes.get(name)
        if own is None:
            # A key with nothing behind it counts as left out, but nobody means to write that.
            alternatives = [one for one in found.get("anyOf", [found]) if one.get("type") != "null"]
            own = dict(alternatives[0])
            if found.get("default") is not None:
                own["default"] = found["default"]
        own = {key: value for key, value in own.items() if key != "title"}
        properties[name] = own | {"description": RECORDS[name]}
    return mapping(properties, schema.get("required", ()))


def _event_tier() -> Schema:
    own = {
        "input": {"type": "string", "description": RECORDS["input"]},
        "tier": {"enum": list(TIERS), "description": RECORDS["tier"]},
    }
    return mapping(event_subjects() | own, ["tier"]) | one_subject()


def _of() -> Schema:
    where = ref("where") | {"description": SUBJECT_WORDS["with where"]}
    return mapping(event_subjects() | places() | {"where": where}) | one_subject()


def _of_connector(name: str) -> Schema:
    """The settings of one connector's outputs; `${NAME}` may stand for any value, so only their
    names are told.
    """
    settings: dict[str, Any] = {}
    required = []
    for setting in settings_of(connector_class(name).output_settings):
        words = f"{setting.description} ({setting.type}{', secret' if setting.secret else ''})"
        settings[setting.name] = {"description": words}
        if setting.required:
            required.append(setting.name)
    own: Schema = {"properties": {"settings": mapping(settings, required)}}
    if required:
        own["required"] = ["settings"]
    named = {"properties": {"connector": {"const": name}}, "required": ["connector"]}
    return {"if": named, "then": own}
