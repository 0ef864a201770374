"""Reads the one operator of a test on a value, with its operand.

Source: docs/definitions.md, operators.
"""

from __future__ import annotations

import math
from typing import Any, Final

from cdp_stream.core.model.operators import DATED, Test
from cdp_stream.definitions.criteria.counts import BOUNDS
from cdp_stream.definitions.criteria.windows import DATE_OPERATORS, read_date_test
from cdp_stream.definitions.source.nodes import Mapping, Node, Scalar, Sequence, describe
from cdp_stream.definitions.source.problems import Problems

TEXT_OPERATORS: Final = (
    "equals", "does_not_equal", "contains", "does_not_contain", "starts_with", "ends_with",
    "pattern", "does_not_match_pattern",
)  # fmt: skip
LIST_OPERATORS: Final = ("one_of", "not_one_of")
NUMBER_OPERATORS: Final = ("greater_than", "at_least", "less_than", "at_most")
BOOLEAN_OPERATORS: Final = ("is", "exists")
ELEMENT_OPERATORS: Final = ("includes", "does_not_include", "partial_match")
VALUE_OPERATORS: Final = (
    TEXT_OPERATORS
    + LIST_OPERATORS
    + NUMBER_OPERATORS
    + DATE_OPERATORS
    + BOOLEAN_OPERATORS
    + ELEMENT_OPERATORS
)
"""Every operator a test on a value may have; `between` compares numbers or dates."""

NAME_OPERATORS: Final = (*TEXT_OPERATORS, *LIST_OPERATORS, "exists")
"""The operators for what is always text: identities, places, publishers and campaigns."""


def read_test(
    node: Mapping, path: str, problems: Problems, complain_of_none: bool = True
) -> Test | None:
    """The test that the operator key of a mapping means.

    With `complain_of_none` false no operator is no problem: an unknown key was meant as one.
    """
    operators = [key for key in node.entries if key in VALUE_OPERATORS]
    if not operators:
        if complain_of_none:
            message = "there is no operator to test the value with"
            advice = "add one, as `equals: x` or `exists: true`"
            problems.error("missing-operator", node.mark, path, message, advice)
        return None
    if len(operators) > 1:
        message = f"exactly one operator, not {' and '.join(f'`{one}`' for one in operators)}"
        advice = "write a criterion or `where` entry for each"
        mark, at = node.mark_of(operators[1]), f"{path}.{operators[1]}"
        problems.error("many-operators", mark, at, message, advice)
    tests = [_test(key, node.entries[key].value, f"{path}.{key}", problems) for key in operators]
    return tests[0] if len(tests) == 1 else None


def _test(operator: str, node: Node, path: str, problems: Problems) -> Test | None:
    if operator == "between" and _may_be_numbers(node):
        operand: Any = _numbers(node, path, problems)
    elif operator in DATE_OPERATORS:
        window = read_date_test(operator, node, path, problems)
        return None if window is None else Test(DATED, window)
    elif operator in NUMBER_OPERATORS:
        operand = _number(node, path, problems)
    elif operator in BOOLEAN_OPERATORS:
        operand = _boolean(operator, node, path, problems)
    elif operator in LIST_OPERATORS:
        operand = _scalars(operator, node, path, problems)
    else:
        operand = _scalar(operator, node, path, problems)
    return None if operand is None else Test(operator, operand)


def _may_be_numbers(node: Node) -> bool:
    """Whether `between` compares numbers: decided by its first bound that is a number."""
    return isinstance(node, Sequence) and any(
        isinstance(item, Scalar) and type(item.value) in (int, float) for item in node.items
    )


def _numbers(node: Node, path: str, problems: Problems) -> tuple[int | float, int | float] | None:
    assert isinstance(node, Sequence)
    if len(node.items) != BOUNDS:
        message = f"`between` needs two bounds, found a list of {len(node.items)}"
        problems.error("bad-operand", node.mark, path, message, "as `between: [2, 5]`")
        return None
    low = _number(node.items[0], f"{path}[0]", problems)
    high = _number(node.items[1], f"{path}[1]", problems)
    return None if low is None or high is None else (low, high)


def _number(node: Node, path: str, problems: Problems) -> int | float | None:
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value):
        return value
    advice = "numbers are written without quotes" if isinstance(value, str) else None
    message = f"expected a number, found {describe(node)}"
    problems.error("bad-operand", node.mark, path, message, advice)
    return None


def _is_finite(value: int | float) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def _boolean(operator: str, node: Node, path: str, problems: Problems) -> bool | None:
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    advice = "only `true` and `false` are booleans, without quotes"
    if operator == "is" and isinstance(node, Scalar) and node.value is not None:
        advice += "; text and numbers are compared by `equals`"
    message = f"`{operator} needs a boolean, found {describe(node)}"
    problems.error("bad-operand", node.mark, path, message, advice)
    return None


def _scalar(
    operator: str, node: Node, path: str, problems: Problems
) -> str | int | float | bool | None:
    if isinstance(node, Scalar) and node.value is not None:
        if isinstance(node.value, str) or _is_finite(node.value):
            return node.value
        message = f"{describe(node)} equals no value"
        problems.error("bad-operand", node.mark, path, message, "write it in quotes if it is text")
        return None
    advice = None
    if isinstance(node, Sequence) and operator == "equals":
        advice = "for one of several write `one_of`"
    if isinstance(node, Scalar):
        advice = 'the empty text is `""`; `exists: true` holds for null too'
    message = f"`{operator} needs text, a number or a boolean, found {describe(node)}"
    problems.error("bad-operand", node.mark, path, message, advice)
    return None


def _scalars(operator: str, node: Node, path: str, problems: Problems) -> tuple[Any, ...] | None:
    if not isinstance(node, Sequence):
        message = f"`{operator} needs a list, found {describe(node)}"
        problems.error("bad-operand", node.mark, path, message, "as `[a, b]`")
        return None
    if not node.items:
        message = f"the list of `{operator}` is empty"
        problems.error("empty-list", node.mark, path, message, "name at least one value")
        return None
    values = [
        _scalar(operator, item, f"{path}[{index}]", problems)
        for index, item in enumerate(node.items)
    ]
    return None if None in values else tuple(values)
