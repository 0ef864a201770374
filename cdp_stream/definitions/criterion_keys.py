"""The keys of a criterion: its subjects, what goes beside each, and what does not.

Source: docs/definitions.md, criteria.
"""

from __future__ import annotations

from typing import Final

from cdp_stream.core.subject import SUBJECTS, WORKSPACE_WIDE
from cdp_stream.definitions.nodes import Mapping, describe, shown
from cdp_stream.definitions.records import note_later
from cdp_stream.definitions.scope import Scope
from cdp_stream.definitions.tests_on_values import VALUE_OPERATORS

GROUPS: Final = ("all", "any", "not")
USER_ATTRIBUTE: Final = "user_attribute"
AUDIENCE: Final = "audience"
LATER_SUBJECTS: Final = (
    "cart_abandonment",
    "calculated_attribute",
    "consent",
    "device",
    "identity",
    "first_seen",
    "last_seen",
    "location",
    "install_attribution",
    "uninstall_attribution",
    "sequence",
)
"""Subjects of the language that this version refuses by name."""

CRITERION_SUBJECTS: Final = (*SUBJECTS, USER_ATTRIBUTE, AUDIENCE)
EXCLUDE: Final = "exclude"
WORKSPACE: Final = "workspace"
EVENT_KEYS: Final = ("where", "count", "when", "inputs")


def takes_only(allowed: tuple[str, ...], head: str, node: Mapping, path: str, scope: Scope) -> bool:
    """Note every key that the criterion does not take; whether there was none.

    `inputs` of a subject that reads every input is noted too.
    """
    if head in WORKSPACE_WIDE:
        allowed = tuple(key for key in allowed if key != "inputs")
    fine = True
    for key, entry in node.entries.items():
        if key in (head, EXCLUDE) or key in allowed:
            continue
        fine = False
        mark, at = entry.key.mark, f"{scope.prefix}{path}.{shown(key)}"
        if key == WORKSPACE and head not in GROUPS:
            note_later("a criterion's own `workspace`", mark, at, scope.problems, "leave it out")
        elif key in (*EVENT_KEYS, *VALUE_OPERATORS):
            code = "bad-operator" if key in VALUE_OPERATORS else "misplaced-key"
            message = f"`{head}` takes no `{key}`"
            scope.problems.error(code, mark, at, message, _advice_for(key, head))
        else:
            known = (*allowed, EXCLUDE)
            code = (
                "bad-operator"
                if head == USER_ATTRIBUTE and scope.problems.near(key, VALUE_OPERATORS)
                else "unknown-key"
            )
            kind = "operator" if code == "bad-operator" else "key"
            advice = scope.problems.near_or_list(key, known)
            scope.problems.error(code, mark, at, f"unknown {kind} `{shown(key)}`", advice)
    return fine


def _advice_for(key: str, head: str) -> str:
    if head in GROUPS:
        return "give it to the criteria in the group"
    if head in WORKSPACE_WIDE and key == "inputs":
        return "it reads every input of the workspace"
    if key in VALUE_OPERATORS and head in SUBJECTS:
        return "test a value of the event in `where`, the number of events in `count`"
    return (
        "only event criteria count events" if head in (USER_ATTRIBUTE, AUDIENCE) else "leave it out"
    )


def note_no_subject(node: Mapping, path: str, scope: Scope) -> None:
    """Note that a mapping is no criterion, and which key was perhaps meant to make it one."""
    problems, at = scope.problems, scope.prefix + path
    near_misses = False
    for key, entry in node.entries.items():
        if key in (EXCLUDE, WORKSPACE, *EVENT_KEYS, *VALUE_OPERATORS):
            continue
        near_misses = True
        advice = problems.near_or_list(key, (*GROUPS, *CRITERION_SUBJECTS))
        problems.error(
            "unknown-key",
            entry.key.mark,
            f"{at}.{shown(key)}",
            f"unknown subject `{shown(key)}`",
            advice,
        )
    if not near_misses:
        choices = ", ".join(f"`{subject}`" for subject in (*CRITERION_SUBJECTS, *GROUPS))
        message = f"{describe(node)} without a subject is no criterion"
        problems.error("missing-subject", node.mark, at, message, f"add one of {choices}")
