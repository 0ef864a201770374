"""Reads `count` of an event criterion: the number of events.

Source: docs/definitions.md, counts.
"""

from __future__ import annotations

from typing import Final

from cdp_stream.definitions.source.nodes import Mapping, Node, Scalar, Sequence, describe, shown
from cdp_stream.definitions.source.problems import Problems

COUNT_FORMS: Final = ("greater_than", "at_least", "less_than", "at_most", "equals", "between")
DEFAULT_COUNT: Final = (1, None)
BOUNDS: Final = 2

Count = tuple[int, int | None]
"""The least and the greatest number that satisfy, both included; None is no bound."""


def read_count(node: Node, path: str, problems: Problems) -> Count | None:
    """The count that a mapping like `{at_least: 3}` means, None when it is wrong."""
    advice = (
        "write one of " + ", ".join(f"`{form}`" for form in COUNT_FORMS) + ", as `{at_least: 3}`"
    )
    if not isinstance(node, Mapping) or not node.entries:
        problems.error(
            "bad-count", node.mark, path, f"{describe(node)} is not a valid count", advice
        )
        return None
    known = [key for key in node.entries if key in COUNT_FORMS]
    for key, entry in node.entries.items():
        if key not in COUNT_FORMS:
            message = f"events are not counted by `{shown(key)}`"
            near = problems.word_for(key, COUNT_FORMS) or advice
            problems.error("bad-count", entry.key.mark, f"{path}.{shown(key)}", message, near)
    if len(known) > 1:
        message = f"a count is one of these, not both: {', '.join(f'`{key}`' for key in known)}"
        advice = "`between: [a, b]` needs two bounds"
        problems.error("bad-count", node.mark_of(known[1]), path, message, advice)
    if len(known) != 1:
        return None
    value = node.entries[known[0]].value
    return _checked(known[0], value, f"{path}.{known[0]}", problems)


def _checked(form: str, node: Node, path: str, problems: Problems) -> Count | None:
    bounds = (
        _between(node, path, problems) if form == "between" else _one(form, node, path, problems)
    )
    if bounds is None:
        return None
    least, greatest = bounds
    if greatest is not None and greatest < max(least, 0):
        wrong = "this can never hold", "`less_than: 1` holds for profiles that never did it"
    elif least <= 0 and greatest is None:
        wrong = "this always holds", "`at_least: 1` holds from the first event on"
    elif least < 0:
        wrong = "a number of events is not negative", "begin at 0"
    else:
        return bounds
    problems.error("bad-count", node.mark, path, *wrong)
    return None


def _one(form: str, node: Node, path: str, problems: Problems) -> Count | None:
    number = _integer(node, path, problems)
    if number is None:
        return None
    match form:
        case "greater_than":
            return (number + 1, None)
        case "at_least":
            return (number, None)
        case "less_than":
            return (0, number - 1)
        case "at_most":
            return (0, number)
        case _:
            return (number, number)


def _between(node: Node, path: str, problems: Problems) -> Count | None:
    if not isinstance(node, Sequence) or len(node.items) != BOUNDS:
        message = "`between` needs two integers"
        problems.error("bad-count", node.mark, path, message, "as `between: [2, 5]`")
        return None
    least = _integer(node.items[0], f"{path}[0]", problems)
    greatest = _integer(node.items[1], f"{path}[1]", problems)
    if least is None or greatest is None:
        return None
    if least > greatest:
        message = "the bounds are reversed: this can never hold"
        problems.error("bad-count", node.mark, path, message, "the smaller first")
        return None
    return (least, greatest)


def _integer(node: Node, path: str, problems: Problems) -> int | None:
    if isinstance(node, Scalar) and type(node.value) is int:
        return node.value
    message = f"{describe(node)} is not a whole number"
    problems.error("bad-count", node.mark, path, message, "write an integer, as `3`")
    return None
