"""A short digest of what a definition means, put in every change that it makes.

It is the same for every way of writing the same criteria (formatting, order of keys, spelling of
windows and counts, names of the definition), and differs when anything differs that decides who is
a member, in the definition itself or in what it refers to.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, assert_never

from cdp_stream.core.definition import (
    All,
    AnyOf,
    Condition,
    EventCriterion,
    Expression,
    MemberOf,
    Not,
    UserAttributeCriterion,
)
from cdp_stream.core.operators import Test
from cdp_stream.core.windows import Window

DIGEST_LENGTH = 12


def definition_digest(
    workspace: str, expression: Expression | None, needs: dict[str, str], follows: list[str]
) -> str:
    """The digest of an audience or milestone: 12 hexadecimal digits.

    Args:
        workspace: the id of its workspace.
        expression: None for a remaining-users split.
        needs: digests of all audiences and milestones that the criteria name, by id.
        follows: digests of those on which its place in a journey depends.
    """
    own = None if expression is None else _expression_digest(expression, needs)
    return _digest(["definition", workspace, own, follows])[:DIGEST_LENGTH]


def _expression_digest(expression: Expression, needs: dict[str, str]) -> str:
    match expression:
        case All(children):
            parts: list[Any] = ["all", *(_expression_digest(child, needs) for child in children)]
        case AnyOf(children):
            parts = ["any", *(_expression_digest(child, needs) for child in children)]
        case Not(child):
            parts = ["not", _expression_digest(child, needs)]
        case MemberOf():
            parts = ["audience", needs[expression.audience_id]]
        case UserAttributeCriterion():
            parts = ["user_attribute", expression.workspace, expression.key, _test(expression.test)]
        case EventCriterion():
            parts = _event(expression)
        case _:
            assert_never(expression)
    return _digest(parts)


def _event(criterion: EventCriterion) -> list[Any]:
    subject = criterion.subject
    return [
        "event",
        criterion.workspace,
        [subject.kind, subject.name, subject.custom_event_type],
        [_condition(condition) for condition in criterion.where],
        criterion.minimum,
        criterion.maximum,
        _window(criterion.window),
        None if criterion.inputs is None else sorted(criterion.inputs),
    ]


def _condition(condition: Condition) -> list[Any]:
    return [condition.source.value, condition.key, _test(condition.test)]


def _test(test: Test) -> list[Any]:
    operand = _window(test.operand) if isinstance(test.operand, Window) else test.operand
    return [test.operator, operand]


def _window(window: Window) -> list[Any]:
    return [window.start, window.end, window.oldest, window.newest]


def _digest(parts: list[Any]) -> str:
    return sha256(json.dumps(parts, separators=(",", ":"), ensure_ascii=True).encode()).hexdigest()
