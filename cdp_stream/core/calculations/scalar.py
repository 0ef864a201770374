"""Values as distinct texts: their JSON, save that text has a quote before it, and
neither a quote after it nor escapes.

`1`, `1.0`, `"1"` and `true` are four values; null is none.
"""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import blake2b
from typing import Any, Final

from cdp_stream.core.model.operators import MISSING, float_text

NAME_SIZE: Final = 10
"""Bytes of a name."""

LABEL_SIZE: Final = 14
"""Characters of a label."""

SHORT_SIZE: Final = 4 * LABEL_SIZE + 5
"""At most the bytes that a short key needs in MessagePack."""


def key_of(value: Any) -> str | None:
    """The text of a value; None for null, MISSING, and floats that JSON has not."""
    kind = type(value)
    if kind is str:
        return f'"{value}'
    if kind is int:
        return repr(value)
    if kind is float:
        return float_text(value)
    if value is None or value is MISSING:
        return None
    return json.dumps(value, ensure_ascii=False)


def value_of(key: str) -> Any:
    """The value that has this key."""
    return key[1:] if key[0] == '"' else json.loads(key)


def order_of(key: str) -> tuple[str, str]:
    """What keys are put in order by: the text of the value, text before a number that reads the
    same.
    """
    return (key[1:] if key[0] == '"' else key), key


def name_of(key: str) -> bytes:
    """A key in `NAME_SIZE` bytes: a digest, of 80 bits, so that two of a profile's values never
    meet.
    """
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=NAME_SIZE).digest()


def label_of(name: bytes | bytearray) -> str:
    """A name as text, for the keys of dicts."""
    return b64encode(name)[:LABEL_SIZE].decode()


def key_size(key: str) -> int:
    """At most the bytes that a key needs in MessagePack."""
    return (len(key) if key.isascii() else 4 * len(key)) + 5


def short_key_of(key: str) -> str:
    """The key itself when short, else a label with a `#` before it, which begins no key."""
    return key if len(key) <= LABEL_SIZE else f"#{label_of(name_of(key))}"
