"""Operators of the audience-sdk, as ours beside a value.

Source: docs/importing.md, operators.
"""

from __future__ import annotations

import re
from typing import Any, Final

from cdp_stream.imports import audience_sdk as sdk
from cdp_stream.imports.inexpressible import InexpressibleError

Test = dict[str, Any]
"""An operator of ours with its operand."""

_NUMERIC: Final = {
    "less_than": "less_than",
    "less_than_equal": "at_most",
    "greater_than": "greater_than",
    "greater_than_equal": "at_least",
}
_TEXTUAL: Final = {
    "equals": "equals",
    "not_equals": "does_not_equal",
    "contains": "contains",
    "not_contains": "does_not_contain",
    "starts_with": "starts_with",
    "ends_with": "ends_with",
}
_LISTED: Final = {"in": "one_of", "not_in": "not_one_of", "match_any": "one_of"}
_NEGATED_ENDS: Final = {"not_starts_with": "{}*", "not_ends_with": "*{}"}
_WILD = re.compile(r"[*?]")
_REGEX = re.compile(r"\\|\.[*+]|[\^$+|(){}\[\]]")
"""What a regular expression has and a pattern with `*` and `?` has not."""
_TERM = re.compile(r"\\(.)|(\.\*)|(\.\+)|(\.)|([^\\.])", re.DOTALL)
_META: Final = frozenset("[](){}|+*?^$")

MIRRORED: Final = {
    "less_than": "greater_than",
    "less_than_equal": "greater_than_equal",
    "greater_than": "less_than",
    "greater_than_equal": "less_than_equal",
    "equals": "equals",
    "not_equals": "not_equals",
}
"""What an operator becomes when its sides are exchanged."""


def unary_test(operator: str) -> Test:
    """`exists` and its like."""
    return {"exists": operator in {"exists", "not_null"}}


def value_test(operator: str, constant: sdk.Constant) -> Test:
    """The test that compares with a value.

    Raises:
        InexpressibleError: we have no such test.
    """
    value = _whole(constant.value)
    if operator in _LISTED:
        return {_LISTED[operator]: value if isinstance(value, list) else [value]}
    if operator == "between":
        return _between(value)
    if operator == "match_all" or isinstance(value, list):
        raise InexpressibleError(f"`{operator}` with a list")
    if isinstance(value, bool) and operator == "equals":
        return {"is": value}
    if operator in _NUMERIC:
        if isinstance(value, str | bool):
            raise InexpressibleError(f"`{operator}` compared with {value!r}, which is not a number")
        return {_NUMERIC[operator]: value}
    if operator in _TEXTUAL:
        return {_TEXTUAL[operator]: value}
    if operator in {"matches", "not_matches"}:
        key = "pattern" if operator == "matches" else "does_not_match_pattern"
        return {key: wildcards(str(value))}
    if operator in _NEGATED_ENDS:
        if _WILD.search(str(value)):
            raise InexpressibleError(f"`{operator}` of text with `*` or `?` in it")
        return {"does_not_match_pattern": _NEGATED_ENDS[operator].format(value)}
    raise InexpressibleError(f"the operator `{operator}` here")


def wildcards(pattern: str) -> str:
    """A pattern with `*` and `?` for a regular expression of the whole value that is no more than
    that; one that is none already stays as it is.

    Raises:
        InexpressibleError: the expression is more than that.
    """
    if not _REGEX.search(pattern):
        return pattern
    written = []
    for escaped, run, run_of_one, one, other in _TERM.findall(
        pattern.removeprefix("^").removesuffix("$")
    ):
        literal = escaped or other
        if literal and (literal in "*?" or (escaped and escaped.isalnum())):
            raise InexpressibleError(f"the regular expression `{pattern}`")
        if other in _META and other:
            raise InexpressibleError(f"the regular expression `{pattern}`")
        written.append("*" if run else "?*" if run_of_one else "?" if one else literal)
    return "".join(written)


def _between(value: Any) -> Test:  # noqa: ANN401 - what the file holds
    match value:
        case [int() | float() as low, int() | float() as high]:
            return {"between": [low, high]}
    raise InexpressibleError("`between` without two numbers")


def _whole(value: Any) -> Any:  # noqa: ANN401 - what the file holds
    """A number with no fraction as an integer: 20.0 is 20."""
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
