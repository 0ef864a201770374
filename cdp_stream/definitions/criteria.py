"""Reads criteria, groups of tests on what a profile did and is, into expressions.

A criterion is a mapping with exactly one subject key, or a group. Every key is looked at whatever
else is wrong, so that one run tells all.

Source: docs/definitions.md, criteria.
"""

from __future__ import annotations

from typing import Final

from cdp_stream.core.definition import (
    All,
    AnyOf,
    EventCriterion,
    Expression,
    MemberOf,
    Not,
    UserAttributeCriterion,
)
from cdp_stream.core.subject import WORKSPACE_WIDE
from cdp_stream.core.windows import Window
from cdp_stream.definitions.conditions import folded_key, read_where
from cdp_stream.definitions.counts import DEFAULT_COUNT, read_count
from cdp_stream.definitions.criterion_keys import (
    AUDIENCE,
    CRITERION_SUBJECTS,
    EVENT_KEYS,
    EXCLUDE,
    GROUPS,
    LATER_SUBJECTS,
    USER_ATTRIBUTE,
    note_no_subject,
    takes_only,
)
from cdp_stream.definitions.nodes import Mapping, Node, Scalar, Sequence, shown
from cdp_stream.definitions.records import note_later
from cdp_stream.definitions.scope import Reference, Scope, read_input_list
from cdp_stream.definitions.subjects import read_subject, subject_text
from cdp_stream.definitions.tests_on_values import VALUE_OPERATORS, read_test
from cdp_stream.definitions.tiers import may_be_read
from cdp_stream.definitions.windows import default_window, read_when

_HEADS: Final = frozenset((*GROUPS, *CRITERION_SUBJECTS, *LATER_SUBJECTS))


def read_criteria(node: Node, path: str, scope: Scope) -> Expression | None:
    """The expression that a criterion means, None when something in it is wrong.

    `path` begins at the audience, as `criteria.all[0]`; problems put the prefix before it.
    """
    if not isinstance(node, Mapping):
        advice = (
            "put several criteria under `all:` or `any:`" if isinstance(node, Sequence) else None
        )
        scope.problems.wrong_type(
            node, scope.prefix + path, "a criterion, as `event: Sign Up`", advice
        )
        return None
    heads = [key for key in node.entries if key in _HEADS]
    expression = None
    if len(heads) == 1:
        expression = _read_headed(heads[0], node, path, scope)
    elif heads:
        several = " and ".join(f"`{head}`" for head in heads)
        message = f"a criterion has one subject or is one group, not {several}"
        advice = "put each into a list under `all:` or `any:`"
        at = f"{scope.prefix}{path}.{heads[1]}"
        scope.problems.error("many-subjects", node.mark_of(heads[1]), at, message, advice)
        for head in heads:
            _read_headed(head, node, path, scope, alone=False)
    else:
        note_no_subject(node, path, scope)
    return _without_excluded(expression, node, path, scope)


def _read_headed(
    head: str, node: Mapping, path: str, scope: Scope, alone: bool = True
) -> Expression | None:
    """The expression of a criterion without its `exclude`."""
    if head in LATER_SUBJECTS:
        at = f"{scope.prefix}{path}.{head}"
        note_later(f"the criterion `{head}`", node.mark_of(head), at, scope.problems)
        return None
    if head in GROUPS:
        fine = not alone or takes_only((), head, node, path, scope)
        group = _read_group(head, node.entries[head].value, f"{path}.{head}", scope)
        return group if fine else None
    if head == USER_ATTRIBUTE:
        return _read_user_attribute(node, path, scope, alone)
    if head == AUDIENCE:
        return _read_member_of(node, path, scope, alone)
    return _read_event(head, node, path, scope, alone)


def _read_group(head: str, node: Node, path: str, scope: Scope) -> Expression | None:
    if head == "not":
        child = read_criteria(node, path, scope)
        return None if child is None else Not(child)
    children = _read_list(node, path, scope)
    if children is None:
        return None
    return All(children) if head == "all" else AnyOf(children)


def _read_list(node: Node, path: str, scope: Scope) -> tuple[Expression, ...] | None:
    if not isinstance(node, Sequence):
        scope.problems.wrong_type(
            node, scope.prefix + path, "a list of criteria", "begin each with `- `"
        )
        return None
    if not node.items:
        scope.problems.error(
            "empty-list", node.mark, scope.prefix + path, "the list is empty", "name a criterion"
        )
        return None
    children = [
        read_criteria(item, f"{path}[{index}]", scope) for index, item in enumerate(node.items)
    ]
    fine = [child for child in children if child is not None]
    return tuple(fine) if len(fine) == len(children) else None


def _without_excluded(
    expression: Expression | None, node: Mapping, path: str, scope: Scope
) -> Expression | None:
    excluded = node.get(EXCLUDE)
    if excluded is None:
        return expression
    children = _read_list(excluded, f"{path}.{EXCLUDE}", scope)
    if expression is None or children is None:
        return None
    return All((expression, Not(AnyOf(children))))


def _read_event(
    kind: str, node: Mapping, path: str, scope: Scope, alone: bool
) -> Expression | None:
    problems, at = scope.problems, scope.prefix + path
    before = len(problems.found)
    if alone:
        takes_only(EVENT_KEYS, kind, node, path, scope)
    named = node.entries[kind].value
    subject = read_subject(kind, named, f"{at}.{kind}", problems)
    where, count_node, when, own = (node.get(key) for key in EVENT_KEYS)
    conditions = () if where is None else read_where(where, f"{at}.where", problems)
    count = DEFAULT_COUNT if count_node is None else read_count(count_node, f"{at}.count", problems)
    window: Window | None = default_window(scope.lookback_ms)
    if when is not None:
        window = read_when(when, f"{at}.when", scope.lookback_ms, problems)
    inputs = scope.reads
    if kind in WORKSPACE_WIDE:
        inputs = None
    elif own is not None:
        inputs = read_input_list(own, f"{at}.inputs", scope)
    if len(problems.found) > before or subject is None or count is None or window is None:
        return None
    text = subject_text(kind, named)
    if scope.certain and not may_be_read(subject, scope.inputs_read(inputs), scope.event_tiers):
        message = f"`{shown(text)}` is `personalize` in no input that this criterion reads"
        advice = "it would never count; change its tier, or the inputs"
        problems.error("unread-event", node.mark_of(kind), f"{at}.{kind}", message, advice)
        return None
    rest = (window, inputs, text, path)
    minimum, maximum = count
    if minimum == 0 and maximum is not None:
        # "at most n" is "not at least n + 1": written so, the two share their state.
        return Not(EventCriterion(scope.workspace, subject, conditions, maximum + 1, None, *rest))
    return EventCriterion(scope.workspace, subject, conditions, minimum, maximum, *rest)


def _read_user_attribute(node: Mapping, path: str, scope: Scope, alone: bool) -> Expression | None:
    at = scope.prefix + path
    fine = not alone or takes_only(VALUE_OPERATORS, USER_ATTRIBUTE, node, path, scope)
    test = read_test(node, at, scope.problems, complain_of_none=fine)
    key = node.entries[USER_ATTRIBUTE].value
    if not isinstance(key, Scalar) or not isinstance(key.value, str):
        scope.problems.wrong_type(
            key, f"{at}.{USER_ATTRIBUTE}", "text, the key of a user attribute"
        )
        return None
    if test is None or not fine:
        return None
    text = f"{USER_ATTRIBUTE}: {key.value}"
    return UserAttributeCriterion(scope.workspace, folded_key(key.value), test, text, path)


def _read_member_of(node: Mapping, path: str, scope: Scope, alone: bool) -> Expression | None:
    fine = not alone or takes_only((), AUDIENCE, node, path, scope)
    target = node.entries[AUDIENCE].value
    where = f"{scope.prefix}{path}.{AUDIENCE}"
    if not isinstance(target, Scalar) or not isinstance(target.value, str):
        scope.problems.wrong_type(
            target, where, "text, the id of an audience, or `journey/milestone`"
        )
        return None
    scope.references.append(Reference(target.value, target.mark, where))
    return MemberOf(target.value, f"{AUDIENCE}: {target.value}", path) if fine else None
