"""The AsyncAPI document of the topics that others read and write.

Source: docs/memberships.md, topics; docs/events.md, record.
"""

from __future__ import annotations

from typing import Final

from cdp_stream.kafka.topics.catalog import (
    DEFINITIONS,
    SINK_TOPICS,
    TOPICS,
    TopicPlan,
    output_topic,
    rejected_topic,
)
from cdp_stream.settings import Settings
from tests.docs.schemas.batches import MPID_TEXT
from tests.docs.schemas.criteria import Schema

INTERNAL: Final = frozenset({"profiles-changelog", "sink-state"})
"""Topics that are not an interface."""

_BINDING: Final = "0.5.0"
_SCHEMA_FORMAT: Final = "application/schema+json;version=draft-07"
_OUTPUT: Final = "{output}"
_TEXT: Final[Schema] = {"type": "string"}

_CHANNELS: Final[dict[str, tuple[str, str]]] = {
    "events": ("receive", "Event batches, time markers and requests to erase."),
    "memberships": ("send", "Every add and delete of every audience and milestone."),
    "membership-state": ("send", "The add of each membership that holds now."),
    "rejected": ("send", "Input that could not be used, with the reason."),
    "definitions": ("receive", "The applied definitions, which cdp apply writes."),
    "faults": ("send", "Stopped outputs and connections, and why."),
    f"output.{_OUTPUT}": ("send", "The messages for one output."),
    f"output.{_OUTPUT}.rejected": ("send", "Changes that the partner will never accept."),
}
"""By topic: what cdp-stream does with it, and what is in it."""

_MESSAGES: Final[dict[str, dict[str, Schema]]] = {
    "events": {
        "batch": {
            "summary": "One batch of one profile.",
            "headers": {"type": "object", "properties": {"input": _TEXT}},
            "payload": "batch",
            "key": MPID_TEXT,
        },
        "timeMarker": {
            "summary": "Advances the time of its partition; no key, an empty value.",
            "headers": {
                "type": "object",
                "properties": {"time": {"type": "string", "pattern": "^[0-9]{1,15}$"}},
                "required": ["time"],
            },
        },
        "erasure": {
            "summary": "Requests the erasure of a profile; an empty value.",
            "headers": {"type": "object", "properties": {"erase": {}}, "required": ["erase"]},
            "key": MPID_TEXT,
        },
    },
    "memberships": {
        "change": {
            "summary": "A profile joins or leaves.",
            "payload": "membership-change",
            "key": MPID_TEXT,
        }
    },
    "membership-state": {
        "membership": {
            "summary": "A membership that holds; a tombstone ends it.",
            "payload": "membership-change",
            "key": _TEXT | {"description": "<audience id>:<mpid>"},
        }
    },
    "rejected": {
        "rejected": {
            "summary": "The record unchanged; for a bad event, its batch with that event alone.",
            "headers": "rejected-headers",
        }
    },
    "definitions": {
        "version": {
            "summary": "All files of one version.",
            "payload": "definitions-record",
            "key": _TEXT | {"description": "The account's id."},
        }
    },
    "faults": {
        "state": {
            "summary": "The state of an output or a connection.",
            "payload": "fault",
            "key": _TEXT | {"description": "The connection's id, else the output's."},
        }
    },
    f"output.{_OUTPUT}": {
        "message": {"summary": "One message.", "payload": "output-message", "key": _TEXT}
    },
    f"output.{_OUTPUT}.rejected": {
        "rejected": {
            "summary": "The message unchanged, with the partner's answer.",
            "headers": "rejected-change-headers",
            "payload": "output-message",
            "key": _TEXT,
        }
    },
}


def topic_plans() -> dict[str, TopicPlan]:
    """Every topic that has a plan, by its name without the prefix."""
    plans = (*TOPICS, DEFINITIONS, *SINK_TOPICS, output_topic(_OUTPUT), rejected_topic(_OUTPUT))
    return {plan.suffix: plan for plan in plans}


def asyncapi_document() -> Schema:
    """The whole document; payloads refer to the schemas in the same folder."""
    plans = topic_plans()
    prefix = Settings().prefix
    channels = {_name(suffix): _channel(prefix, plans[suffix]) for suffix in _CHANNELS}
    operations = {}
    for suffix, (action, summary) in _CHANNELS.items():
        name = _name(suffix)
        operations[f"{action}{name[0].upper()}{name[1:]}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": summary,
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "cdp-stream",
            "version": "1",
            "description": "The Kafka topics of cdp-stream, with the default prefix.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": Settings().broker,
                "protocol": "kafka",
                "description": "Your Kafka, or `cdp broker` on your own machine.",
            }
        },
        "channels": channels,
        "operations": operations,
    }


def _name(suffix: str) -> str:
    """A topic's name as a key: `membership-state` is `membershipState`."""
    first, *others = suffix.replace("{", "").replace("}", "").replace(".", "-").split("-")
    return first + "".join(word.capitalize() for word in others)


def _channel(prefix: str, plan: TopicPlan) -> Schema:
    suffix = plan.suffix
    kafka: Schema = {
        "topicConfiguration": {"cleanup.policy": [plan.cleanup], **_limits(plan)},
        "bindingVersion": _BINDING,
    }
    if plan.partitions is not None:
        kafka["partitions"] = plan.partitions
    channel: Schema = {
        "address": f"{prefix}.{suffix}",
        "description": _CHANNELS[suffix][1],
        "messages": {name: _message(parts) for name, parts in _MESSAGES[suffix].items()},
        "bindings": {"kafka": kafka},
    }
    if _OUTPUT in suffix:
        channel["parameters"] = {"output": {"description": "The output's id."}}
    return channel


def _limits(plan: TopicPlan) -> dict[str, int]:
    named = ("retention.ms", "max.message.bytes")
    return {name: int(plan.settings[name]) for name in named if name in plan.settings}


def _message(parts: Schema) -> Schema:
    message: Schema = {"summary": parts["summary"]}
    for part in ("headers", "payload"):
        if part in parts:
            message[part] = _reference(parts[part])
    if "key" in parts:
        message["bindings"] = {"kafka": {"key": parts["key"], "bindingVersion": _BINDING}}
    return message


def _reference(schema: Schema | str) -> Schema:
    if not isinstance(schema, str):
        return schema
    return {"schemaFormat": _SCHEMA_FORMAT, "schema": {"$ref": f"./{schema}.schema.json"}}
