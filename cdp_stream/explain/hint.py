"""What a criterion requires, and what a verdict lacks to become the other one, in words."""

from __future__ import annotations

from typing import Final, assert_never

from cdp_stream.core.model.criterion import (
    CalculatedAttribute,
    CalculatedCriterion,
    CartCriterion,
    DistanceCriterion,
    EventCriterion,
    Facet,
    MemberOf,
    ProfileCriterion,
    SequenceCriterion,
)
from cdp_stream.core.model.windows import Window
from cdp_stream.definitions.criteria.windows import length_text
from cdp_stream.errors import counted
from cdp_stream.explain.evidence import Evidence, consent_words, name_of, range_of
from cdp_stream.explain.history import Counted
from cdp_stream.explain.tree import OPT_OUT_TEXT, Kind, Node
from cdp_stream.explain.words import (
    conditions_words,
    count_words,
    instant_words,
    place_words,
    printable,
    test_words,
    window_words,
)

_EXISTS: Final = "exists"
_GROUPS: Final = {
    (Kind.EXCLUDE, True): "none of these",
    (Kind.EXCLUDE, False): "none of the branches that go before",
}


def asked_words(node: Node) -> str | None:
    """What a criterion requires beside its subject; None for what has nothing to add."""
    written = node.written
    match written:
        case EventCriterion():
            return _joined(
                count_words(*range_of(written, node.is_negative)),
                _windows(written),
                conditions_words(written.where),
            )
        case CalculatedCriterion():
            return f"must {test_words(written.test)}: {_calculated_words(written.attribute)}"
        case CartCriterion():
            closing = "any product action" if written.closing is None else _or(written.closing)
            return _joined(
                f"a filled cart, {length_text(written.wait_ms)} without {closing}",
                _windows(written),
                conditions_words(written.where),
            )
        case SequenceCriterion():
            wheres = [
                f"in step {number} {conditions_words(step.where)}"
                for number, step in enumerate(written.steps, 1)
                if step.where
            ]
            within = f"in this order within {length_text(written.within_ms)}"
            return _joined(within, _windows(written), *wheres)
        case ProfileCriterion() | DistanceCriterion() | MemberOf() | None:
            return _GROUPS.get((node.kind, bool(node.path)))
    assert_never(written)


def hint_of(node: Node, holds: bool, evidence: Evidence, at: int) -> str | None:
    """What would flip a verdict, passing time apart; None where the node's values, or its children,
    show it.
    """
    written = node.written
    match written:
        case EventCriterion():
            assert evidence.counted is not None
            return _count_hint(written, node.is_negative, evidence.counted, at)
        case ProfileCriterion():
            return None if holds else f"{name_of(written)} must {_profile_test(written)}"
        case DistanceCriterion():
            point = f"{written.latitude}, {written.longitude}"
            return None if holds else f"must be within {written.metres / 1000:,g} km of {point}"
        case CalculatedCriterion():
            return None if holds else f"{written.attribute.id} must {test_words(written.test)}"
        case None if not holds and node.leaf is not None:
            if node.criterion == OPT_OUT_TEXT:
                return "needs an opt_out event with `is_opted_out: false`"
            return "needs an event or a batch in a workspace of the audience"
        case _:
            return None


def _count_hint(
    written: EventCriterion, is_negative: bool, counted: Counted, at: int
) -> str | None:
    minimum, maximum = range_of(written, is_negative)
    total = counted.total
    if maximum is not None and total > maximum:
        return f"{total - maximum} too many"
    if total < minimum:
        return _lacking(written, minimum - total, counted, at)
    if maximum is None or any(_is_over(reach.window, at) for reach in written.reaches):
        return None
    return f"{_more(maximum + 1 - total)} would end it"


def _is_over(window: Window, at: int) -> bool:
    """Whether an event of this instant would not count at once."""
    return bool(window.newest) or (window.end is not None and window.end <= at)


def _lacking(written: EventCriterion, lacking: int, counted: Counted, at: int) -> str:
    """How many more events are needed, and until when they would be enough."""
    needs = f"needs {_more(lacking)}"
    if len(written.reaches) > 1:
        return needs
    window = written.reaches[0].window
    if window.start is not None and window.start > at:
        needs += f", from {instant_words(window.start)} on"
    if window.end is not None and window.end <= at:
        if window.oldest is not None and window.end <= at - window.oldest:
            return "no event can count any more"
        return f"{needs}, that happened before {instant_words(window.end)}"
    if window.newest:
        return f"{needs}; an event counts once it is {length_text(window.newest)} old"
    ends = [end for end in (window.end, counted.kept_until) if end is not None]
    if counted.oldest is not None and window.oldest is not None:
        ends.append(counted.oldest + window.oldest + 1)
    return f"{needs}, before {instant_words(min(ends))}" if ends else needs


def _more(number: int) -> str:
    return counted(number, "more event")


def _profile_test(written: ProfileCriterion) -> str:
    if written.facet is not Facet.CONSENT:
        return test_words(written.test)
    if written.test.operator == _EXISTS:
        return "be set" if written.test.operand else "be unset"
    return f"be {consent_words(written.key, written.test.operand)}"


def _calculated_words(attribute: CalculatedAttribute) -> str:
    value = "" if attribute.value is None else f" of {place_words(*attribute.value)}"
    kind = attribute.subject.kind
    name = "any" if attribute.subject.name is None else attribute.subject.name
    calculation = attribute.calculation.value.replace("_", " ")
    return _joined(
        printable(f"{calculation}{value} over {kind}: {name}"),
        window_words(attribute.window),
        conditions_words(attribute.where),
    )


def _windows(written: EventCriterion | CartCriterion | SequenceCriterion) -> str:
    windows: dict[Window, list[str]] = {}
    for reach in written.reaches:
        windows.setdefault(reach.window, []).append(reach.workspace)
    if len(windows) == 1:
        return window_words(next(iter(windows)))
    return ", ".join(
        f"{window_words(window) or 'at any time'} (in {' and '.join(workspaces)})"
        for window, workspaces in windows.items()
    )


def _or(names: frozenset[str]) -> str:
    return " or ".join(sorted(names))


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
