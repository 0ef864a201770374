"""The keys of a criterion: its subjects, what goes beside each, and what does not.

Source: docs/definitions.md, criteria.
"""

from __future__ import annotations

from typing import Final

from cdp_stream.core.model.subject import SUBJECTS, WORKSPACE_WIDE
from cdp_stream.definitions.criteria.scope import Scope, or_list
from cdp_stream.definitions.criteria.tests_on_values import NAME_OPERATORS, VALUE_OPERATORS
from cdp_stream.definitions.criteria.windows import DATE_OPERATORS
from cdp_stream.definitions.criteria.written import INPUTS, WORKSPACE, Written
from cdp_stream.definitions.source.nodes import Mapping, describe, shown
from cdp_stream.definitions.synonyms import meanings_of

GROUPS: Final = ("all", "any", "not")
USER_ATTRIBUTE: Final = "user_attribute"
CALCULATED_ATTRIBUTE: Final = "calculated_attribute"
AUDIENCE: Final = "audience"
CONSENT: Final = "consent"
DEVICE: Final = "device"
IDENTITY: Final = "identity"
LOCATION: Final = "location"
ATTRIBUTIONS: Final = ("install_attribution", "uninstall_attribution")
SEEN: Final = ("first_seen", "last_seen")
CART_ABANDONMENT: Final = "cart_abandonment"
SEQUENCE: Final = "sequence"

EXCLUDE: Final = "exclude"
WHERE: Final = "where"
COUNT: Final = "count"
WHEN: Final = "when"
WITHIN: Final = "within"
STATE: Final = "state"

EVENT_KEYS: Final = (WHERE, COUNT, WHEN, INPUTS, WORKSPACE)
OTHER_KEYS: Final = (WITHIN, STATE)

TAKES: Final[dict[str, tuple[str, ...]]] = {
    **{
        subject: tuple(key for key in EVENT_KEYS if key != INPUTS or subject not in WORKSPACE_WIDE)
        for subject in SUBJECTS
    },
    CART_ABANDONMENT: (WHERE, INPUTS, WORKSPACE),
    SEQUENCE: (WITHIN, WHEN, INPUTS, WORKSPACE),
    USER_ATTRIBUTE: (*VALUE_OPERATORS, WORKSPACE),
    CALCULATED_ATTRIBUTE: (*VALUE_OPERATORS, WORKSPACE),
    AUDIENCE: (),
    CONSENT: (STATE, WORKSPACE),
    DEVICE: (*VALUE_OPERATORS, WORKSPACE),
    IDENTITY: (*NAME_OPERATORS, WORKSPACE),
    **dict.fromkeys(SEEN, (WORKSPACE,)),
    LOCATION: (*NAME_OPERATORS, WORKSPACE),
    **dict.fromkeys(ATTRIBUTIONS, (*NAME_OPERATORS, WORKSPACE)),
}
"""What goes beside a subject, besides `exclude`. A distance, `location: {within, of}`, takes no
operator.
"""

CRITERION_SUBJECTS: Final = tuple(TAKES)
_TIMES: Final = frozenset((*DATE_OPERATORS, WITHIN)) - {"between"}
_WORDS: Final = frozenset((*EVENT_KEYS, *OTHER_KEYS, *VALUE_OPERATORS))


def takes_only(criterion: Written, allowed: tuple[str, ...] | None = None) -> bool:
    """Note every key that the criterion does not take; whether there was none.

    `allowed` is by default what its subject accepts. Of several heads nothing is noted.
    """
    head, problems = criterion.head, criterion.problems
    if allowed is None:
        allowed = TAKES.get(head, ())
    fine = True
    if not criterion.alone:
        return fine
    for key, entry in criterion.node.entries.items():
        if key in (head, EXCLUDE) or key in allowed:
            continue
        fine = False
        mark, at = entry.key.mark, criterion.at(shown(key))
        if key in _WORDS:
            code = "bad-operator" if key in VALUE_OPERATORS else "misplaced-key"
            message = f"`{head}` does not accept `{key}`"
            problems.error(code, mark, at, message, _advice_for(key, head, allowed))
            continue
        tests_values = "exists" in allowed
        is_operator = tests_values and problems.word_for(key, VALUE_OPERATORS) is not None
        known = allowed if is_operator else (*allowed, EXCLUDE)
        message = f"unknown {'operator' if is_operator else 'key'} `{shown(key)}`"
        code = "bad-operator" if is_operator else "unknown-key"
        meant = [name for name in meanings_of(key) if name in VALUE_OPERATORS]
        advice = problems.word_for(key, known)
        if advice is None and meant and head in SUBJECTS:
            advice = f"`{meant[0]}` is what it is called; {_advice_for(meant[0], head, allowed)}"
        problems.error(code, mark, at, message, advice or problems.word_or_list(key, known))
    return fine


def _advice_for(key: str, head: str, allowed: tuple[str, ...]) -> str:
    if head in GROUPS:
        return "give it to the criteria in the group"
    if head in WORKSPACE_WIDE and key == INPUTS:
        return "it reads every input of the workspace"
    if WHEN in allowed and key in _TIMES:
        return "its times are in `when`, as `when: {last: 3d}`"
    if key == WITHIN and "last" in allowed:
        return "did you mean `last`?"
    if key in VALUE_OPERATORS and (advice := _advice_for_operator(head, allowed)) is not None:
        return advice
    if INPUTS in allowed:
        return f"it accepts {or_list(allowed)}"
    if key in (STATE, WITHIN, WORKSPACE, *VALUE_OPERATORS):
        return "leave it out"
    return "only event criteria count events"


def _advice_for_operator(head: str, allowed: tuple[str, ...]) -> str | None:
    if head in SUBJECTS:
        return "test a value of the event in `where`, the number of events in `count`"
    if "exists" in allowed:
        return f"it is compared as text: {or_list(NAME_OPERATORS)}"
    if head in SEEN:
        return f"the test is inside, as `{head}: {{last: 7d}}`"
    return "give the state with `state`" if head == CONSENT else None


def note_no_subject(node: Mapping, path: str, scope: Scope) -> None:
    """Note that a mapping is not a criterion, and which key was perhaps meant to make it one."""
    problems, at = scope.problems, scope.prefix + path
    near_misses = False
    for key, entry in node.entries.items():
        if key == EXCLUDE or key in _WORDS:
            continue
        near_misses = True
        advice = problems.word_or_list(key, (*GROUPS, *CRITERION_SUBJECTS))
        where, message = f"{at}.{shown(key)}", f"unknown subject `{shown(key)}`"
        problems.error("unknown-key", entry.key.mark, where, message, advice)
    if not near_misses:
        choices = ", ".join(f"`{subject}`" for subject in (*CRITERION_SUBJECTS, *GROUPS))
        message = f"{describe(node)} without a subject is not a criterion"
        problems.error("missing-subject", node.mark, at, message, f"add one of {choices}")
