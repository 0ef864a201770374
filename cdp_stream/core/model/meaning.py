"""What a definition means, apart from how and where it is written, as plain JSON data.

Equal criteria have equal meanings, so that they are computed once and share their state; digests of
definitions are made of the same data. Names for people (texts, paths, ids) are fields that do not
take part in comparisons, and are left out here for the same reason.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from hashlib import sha256
from typing import Any

from cdp_stream.core.model.criterion import All, AnyOf, Criterion, Expression, MemberOf, Not

_ANY_ORDER = frozenset({"where", "reaches"})
"""Members that are lists to read and sets by meaning."""


def meaning_text(definition: Any) -> str:
    """Canonical text of what a definition means: equal criteria have equal texts."""
    return _text(_plain(definition))


def slot_of(identity: str, workspace: str = "") -> str:
    """The key of a criterion's state in rows: 48 bits of a digest of its meaning, 8 characters.

    A criterion over several workspaces has a slot in each.
    """
    text = f"{identity}@{workspace}" if workspace else identity
    return urlsafe_b64encode(sha256(text.encode()).digest()[:6]).decode()


def digest_of(meaning: Any) -> str:
    """A digest of plain data: 64 hexadecimal digits."""
    return sha256(_text(meaning).encode()).hexdigest()


def expression_digest(
    expression: Expression,
    needs: Mapping[str, str],
    identity_of: Callable[[Criterion], Any] | None = None,
) -> str:
    """The digest of an expression.

    Args:
        needs: the digests of the audiences that it refers to, by id.
        identity_of: the text used for a criterion; default: its meaning alone.
    """

    def digest(node: Expression) -> str:
        match node:
            case All(children):
                parts: list[Any] = ["all", *map(digest, children)]
            case AnyOf(children):
                parts = ["any", *map(digest, children)]
            case Not(child):
                parts = ["not", digest(child)]
            case MemberOf():
                parts = ["audience", needs[node.audience_id]]
            case _:
                parts = ["criterion", _plain(node) if identity_of is None else identity_of(node)]
        return digest_of(parts)

    return digest(expression)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        members = [
            [field.name, _sorted(_plain(getattr(value, field.name)), field.name)]
            for field in fields(value)
            if field.compare
        ]
        return [type(value).__name__, members]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _sorted(value: Any, member: str) -> Any:
    return sorted(value, key=_text) if member in _ANY_ORDER else value


def _text(meaning: Any) -> str:
    return json.dumps(meaning, separators=(",", ":"), ensure_ascii=True)
