"""What a connector declares, in words: for `cdp connectors` and for the tables of its page."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from cdp_stream.connectors.connector import AnyConnector, Connector, HttpConnector
from cdp_stream.connectors.settings import secret_fields

__all__ = [
    "DELETIONS",
    "PATTERNS",
    "Setting",
    "as_json",
    "batching_words",
    "rate_words",
    "settings_of",
]

PATTERNS: Final = {
    "direct": "the members of a list",
    "indirect": "a tag or attribute of users",
    "stream": "changes are passed on unchanged",
}
DELETIONS: Final = {
    "delete": "deletes the partner's audience",
    "pass": "is passed on",
    "remove_rows": "removes the rows",
    "keep": "keeps the partner's data, sends nothing",
}
_TYPES: Final = {str: "text", int: "whole number", float: "number", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of an output or of a connection.

    Attributes:
        type: in words.
        default: as in YAML; None where it must be given or has none.
    """

    name: str
    type: str
    required: bool
    secret: bool
    default: str | None
    description: str


def settings_of(model: type[BaseModel]) -> list[Setting]:
    """Every setting of a model, those of the connector itself before those that all have; without
    those that accept no value.
    """
    secrets = secret_fields(model)
    shared = {name for base in model.__mro__[1:] for name in getattr(base, "__annotations__", ())}
    found = [
        Setting(
            field.alias or name,
            _type_words(field.annotation),
            field.is_required(),
            name in secrets,
            _default_words(field.get_default(call_default_factory=True)),
            field.description or "",
        )
        for name, field in model.model_fields.items()
        if field.annotation is not NoneType
    ]
    return sorted(found, key=lambda setting: setting.name in shared)


def batching_words(connector: type[AnyConnector]) -> str:
    """How changes are gathered, as one phrase."""
    batching = connector.batching
    if batching.count == 1:
        return "each change by itself"
    wait = batching.interval_ms
    after = f"{wait} ms" if wait % 1000 else f"{wait // 1000} s"
    return (
        f"{batching.count:,} changes, {batching.size // 1_000_000} MB or {after}, "
        "whichever is first"
    )


def rate_words(connector: type[AnyConnector]) -> str | None:
    """The most requests, as one phrase; None where nothing is declared."""
    if not issubclass(connector, HttpConnector) or connector.rate is None:
        return None
    rate = connector.rate
    if rate.seconds == 1:
        return f"{rate.requests:,} requests a second"
    return f"{rate.requests:,} requests in {rate.seconds:g} seconds"


def as_json(connector: type[Connector[Any, Any]]) -> dict[str, Any]:
    """Everything, as `cdp connectors --json` prints it."""
    batching = connector.batching
    http = connector if issubclass(connector, HttpConnector) else None
    rate = None if http is None else http.rate
    return {
        "name": connector.name,
        "title": connector.title,
        "summary": connector.summary,
        "pattern": connector.pattern,
        "identities": None if connector.identities is None else sorted(connector.identities),
        "user_attributes": connector.takes_attributes,
        "batching": {
            "count": batching.count,
            "bytes": batching.size,
            "interval_ms": batching.interval_ms,
            "per_connection": batching.per_connection,
        },
        "rate": None if rate is None else {"requests": rate.requests, "seconds": rate.seconds},
        "max_connections": None if http is None else http.max_connections,
        "on_audience_delete": connector.on_audience_delete,
        "extra": connector.extra,
        "settings": [_setting_json(one) for one in settings_of(connector.output_settings)],
        "connection_settings": [
            _setting_json(one) for one in settings_of(connector.connection_settings)
        ],
    }


def _setting_json(setting: Setting) -> dict[str, Any]:
    return {
        "name": setting.name,
        "type": setting.type,
        "required": setting.required,
        "secret": setting.secret,
        "default": setting.default,
        "description": setting.description,
    }


def _type_words(annotation: object) -> str:
    if annotation is SecretStr:
        return "text"
    if isinstance(annotation, type) and annotation in _TYPES:
        return _TYPES[annotation]
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(str(part) for part in parts)
    if origin in (Union, UnionType):
        return " or ".join(_type_words(part) for part in parts if part is not NoneType)
    if origin in (list, tuple, set, frozenset):
        return f"list of {_type_words(parts[0])}"
    if origin is dict:
        return f"mapping to {_type_words(parts[1])}"
    # Annotated[...] and models of a connector's own.
    return _type_words(parts[0]) if parts else "mapping"


def _default_words(default: object) -> str | None:
    if default is PydanticUndefined or default is None:
        return None
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list | tuple | set | frozenset):
        return "[" + ", ".join(str(one) for one in sorted(default)) + "]"
    if isinstance(default, dict):
        return "{}" if not default else str(default)
    return str(default)
