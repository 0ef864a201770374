"""`then`: events one after the other, as a sequence of ours.

Source: docs/importing.md, sequences.
"""

from __future__ import annotations

from typing import Any, Final

from cdp_stream.imports import audience_sdk as sdk
from cdp_stream.imports.event_rows import TIMES, alternatives, normalized
from cdp_stream.imports.inexpressible import InexpressibleError
from cdp_stream.imports.models import Models
from cdp_stream.imports.windows import ANCIENT, Bounds, duration

_AFTER: Final = ("greater_than", "greater_than_equal")
_BEFORE: Final = ("less_than", "less_than_equal")


def sequence_criterion(then: sdk.Then, models: Models) -> dict[str, Any]:
    """The criterion of a sequence.

    A step may limit the time after the first step, or in a sequence of two after the step before,
    it comes at the latest: that is `within`. That it comes after the one before goes without
    saying.

    Raises:
        InexpressibleError: our sequences cannot express it.
    """
    steps: list[dict[str, Any]] = []
    windows: set[Bounds] = set()
    within: int | None = None
    aliases = [step.alias for step in then.sequence]
    for index, step in enumerate(then.sequence):
        model = models.of(step.operand.model)
        if model is None:
            raise InexpressibleError("a sequence of profiles")
        condition, limit = _split(step, aliases, index)
        if limit is not None:
            if index != len(aliases) - 1:
                raise InexpressibleError("a limit between steps that are not first and last")
            within = limit
        found = alternatives(step.operand.model, model, condition)
        if len(found) != 1:
            raise InexpressibleError("alternatives within a step of a sequence")
        steps.append(found[0].selected())
        windows.add(found[0].bounds)
    if len(windows) != 1:
        raise InexpressibleError("steps of a sequence with different windows")
    when = windows.pop().window() or "any_time"
    if len(steps) == 1:
        return steps[0] | {"when": when}
    limit_text = ANCIENT if within is None else duration(within)
    return {"sequence": steps, "within": limit_text, "when": when}


def _split(
    step: sdk.Step, aliases: list[str], index: int
) -> tuple[sdk.Expression | None, int | None]:
    """A step's condition without its relations to other steps, and its limit in ms."""
    if step.condition is None:
        return None, None
    parts = _conjuncts(step.condition)
    kept = []
    limit: int | None = None
    for part in parts:
        relation = _relation(part, aliases, index)
        if relation is None:
            kept.append(part)
        elif relation >= 0:
            limit = relation if limit is None else min(limit, relation)
    if not kept:
        return None, limit
    return sdk.Logical("and", tuple(kept), step.condition.at), limit


def _conjuncts(expression: sdk.Expression) -> list[sdk.Expression]:
    if isinstance(expression, sdk.Logical) and expression.operator == "and":
        return [part for child in expression.expressions for part in _conjuncts(child)]
    return [expression]


def _relation(part: sdk.Expression, aliases: list[str], index: int) -> int | None:
    """What a part requires of another step: its limit in ms, -1 where it is only "after";
    None where it is about its own step.
    """
    if not isinstance(part, sdk.Binary):
        return None
    binary = normalized(part)
    match binary.left, binary.right:
        case sdk.ModelPath(_, path), sdk.AliasPath(alias, their):
            if path in TIMES and their in TIMES and binary.operator in _AFTER:
                return _after(alias, aliases, index)
            raise InexpressibleError("a comparison with a field of another step")
        case sdk.ModelPath(_, path), sdk.RelativeDate(offset, unit, None, str() as alias):
            length = offset * sdk.UNITS_MS[unit]
            if path not in TIMES or length != int(length):
                raise InexpressibleError("a value relative to another step")
            if binary.operator in _AFTER and length == 0:
                return _after(alias, aliases, index)
            if binary.operator in _BEFORE and length > 0 and alias == aliases[0]:
                return int(length)
            raise InexpressibleError("this distance from another step")
    return None


def _after(alias: str, aliases: list[str], index: int) -> int:
    if alias in aliases[:index]:
        return -1
    raise InexpressibleError("a step that comes after a later one")
