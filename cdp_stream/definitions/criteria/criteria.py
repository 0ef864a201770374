"""Reads criteria, groups of tests on what a profile did and is, into expressions.

A criterion is a mapping with exactly one subject key, or a group. Every key is looked at whatever
else is wrong, so that one run reports all problems.

Source: docs/definitions.md, criteria.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cdp_stream.core.model.criterion import All, AnyOf, Expression, Not
from cdp_stream.core.model.subject import SUBJECTS
from cdp_stream.definitions.criteria.carts import read_cart_abandonment
from cdp_stream.definitions.criteria.criterion_keys import (
    ATTRIBUTIONS,
    AUDIENCE,
    CALCULATED_ATTRIBUTE,
    CART_ABANDONMENT,
    CONSENT,
    CRITERION_SUBJECTS,
    DEVICE,
    EXCLUDE,
    GROUPS,
    IDENTITY,
    LOCATION,
    SEEN,
    SEQUENCE,
    USER_ATTRIBUTE,
    note_no_subject,
    takes_only,
)
from cdp_stream.definitions.criteria.event_criteria import read_event
from cdp_stream.definitions.criteria.profile_criteria import (
    read_attribution,
    read_calculated_attribute,
    read_consent,
    read_device,
    read_first_or_last_seen,
    read_identity,
    read_location,
    read_member_of,
    read_user_attribute,
)
from cdp_stream.definitions.criteria.scope import Scope
from cdp_stream.definitions.criteria.sequences import read_sequence
from cdp_stream.definitions.criteria.written import Written
from cdp_stream.definitions.source.nodes import Mapping, Node, Sequence

_READERS: Final[dict[str, Callable[[Written], Expression | None]]] = {
    **dict.fromkeys(SUBJECTS, read_event),
    CART_ABANDONMENT: read_cart_abandonment,
    SEQUENCE: read_sequence,
    USER_ATTRIBUTE: read_user_attribute,
    CALCULATED_ATTRIBUTE: read_calculated_attribute,
    AUDIENCE: read_member_of,
    CONSENT: read_consent,
    DEVICE: read_device,
    IDENTITY: read_identity,
    **dict.fromkeys(SEEN, read_first_or_last_seen),
    LOCATION: read_location,
    **dict.fromkeys(ATTRIBUTIONS, read_attribution),
}
_HEADS: Final = frozenset((*GROUPS, *CRITERION_SUBJECTS))


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
        expression = _read_headed(Written(heads[0], node, path, scope))
    elif heads:
        several = " and ".join(f"`{head}`" for head in heads)
        message = f"a criterion has one subject or is one group, not {several}"
        advice = "put each into a list under `all:` or `any:`"
        at = f"{scope.prefix}{path}.{heads[1]}"
        scope.problems.error("many-subjects", node.mark_of(heads[1]), at, message, advice)
        for head in heads:
            _read_headed(Written(head, node, path, scope, alone=False))
    else:
        note_no_subject(node, path, scope)
    return _without_excluded(expression, node, path, scope)


def _read_headed(criterion: Written) -> Expression | None:
    """The expression of a criterion without its `exclude`."""
    if criterion.head not in GROUPS:
        return _READERS[criterion.head](criterion)
    fine = takes_only(criterion)
    path = f"{criterion.path}.{criterion.head}"
    group = _read_group(criterion.head, criterion.value, path, criterion.scope)
    return group if fine else None


def _read_group(head: str, node: Node, path: str, scope: Scope) -> Expression | None:
    if head == "not":
        child = read_criteria(node, path, scope)
        return None if child is None else Not(child, path)
    children = _read_list(node, path, scope)
    if children is None:
        return None
    return All(children, path) if head == "all" else AnyOf(children, path)


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
    excluding = f"{path}.{EXCLUDE}"
    return All((expression, Not(AnyOf(children, excluding), excluding)), path)
