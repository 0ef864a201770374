"""What a YAML scalar means by the core schema of YAML 1.2.2 (section 10.3.2).

Only `true` and `false` are booleans, `010` is ten, and a date or `12:30` is text: YAML 1.1, which
PyYAML's own resolver follows, differs for each.
"""

from __future__ import annotations

import re
from typing import Final

from cdp_stream.definitions.source.nodes import ScalarValue

MAX_DIGITS: Final = 400
"""Python reads no integer of more than 4,300 digits; no number with a meaning comes near this."""

PREFIX: Final = "tag:yaml.org,2002:"
SCALAR_TAGS: Final = frozenset(PREFIX + name for name in ("str", "int", "float", "bool", "null"))

_WORDS: Final[dict[str, ScalarValue]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_NOT_A_NUMBER = re.compile(r"\.(?:nan|NaN|NAN)")
_MAY_BE_NUMBER = frozenset("+-.0123456789")


class NumberTooLongError(ValueError):
    """A number of more than `MAX_DIGITS` characters."""


def plain_value(raw: str) -> ScalarValue:
    """The value of a scalar written without quotes.

    Raises:
        NumberTooLongError: it is a number, and a longer one than anything needs.
    """
    if not raw or raw[0] not in _MAY_BE_NUMBER:
        return _WORDS.get(raw, raw)
    if len(raw) > MAX_DIGITS:
        if _FLOAT.fullmatch(raw) or _OCTAL.fullmatch(raw) or _HEXADECIMAL.fullmatch(raw):
            raise NumberTooLongError
        return raw
    if _DECIMAL.fullmatch(raw):
        return int(raw)
    if _OCTAL.fullmatch(raw):
        return int(raw[2:], 8)
    if _HEXADECIMAL.fullmatch(raw):
        return int(raw[2:], 16)
    if _FLOAT.fullmatch(raw):
        return float(raw)
    if _INFINITY.fullmatch(raw):
        return float("-inf") if raw[0] == "-" else float("inf")
    return float("nan") if _NOT_A_NUMBER.fullmatch(raw) else raw


def tagged_value(tag: str, raw: str) -> ScalarValue:
    """The value of a scalar with one of the core schema's own tags.

    Raises:
        ValueError: the text is not one of that tag's.
        NumberTooLongError: as `plain_value`.
    """
    name = tag.removeprefix(PREFIX)
    if name == "str":
        return raw
    value = plain_value(raw)
    kind = "null" if value is None else type(value).__name__
    if name == "float" and kind == "int":
        return float(raw)
    if kind != name:
        raise ValueError(f"'{raw[:40]}' is not a valid {name}")
    return value
