"""A definition of the audience-sdk, as criteria of ours.

The unit is the criterion: what cannot be expressed exactly is left out whole, with a note, and
never replaced by something near it.

Source: docs/importing.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cdp_stream.imports import audience_sdk as sdk
from cdp_stream.imports.event_rows import (
    Rows,
    alternatives,
    is_about,
    is_in_every_row,
    normalized,
    place_of,
)
from cdp_stream.imports.inexpressible import InexpressibleError, Kind, Note
from cdp_stream.imports.models import EventModel, Models
from cdp_stream.imports.sequences import sequence_criterion
from cdp_stream.imports.user_tests import distance_test, user_test, user_unary
from cdp_stream.imports.value_tests import value_test

Criterion = dict[str, Any]

_COUNTS: Final = {
    "equals": "equals",
    "less_than": "less_than",
    "less_than_equal": "at_most",
    "greater_than": "greater_than",
    "greater_than_equal": "at_least",
}
_CALCULATIONS: Final = {
    "min": "min",
    "max": "max",
    "sum": "sum",
    "avg": "average",
    "list": "unique_list",
}
_SOME: Final = ({"greater_than": 0}, {"at_least": 1})
_NONE: Final = ({"less_than": 1}, {"at_most": 0}, {"equals": 0})
_NEVER_OR_ALWAYS: Final = ({"less_than": 0}, {"at_least": 0})
_MEMBERSHIP: Final = {"in": True, "matches": True, "not_in": False, "not_matches": False}


@dataclass(slots=True)
class Converted:
    """What became of a definition.

    Attributes:
        criteria: None when nothing of it could be converted.
        calculated: calculated attributes that the criteria use.
        notes: in the order of the file.
    """

    criteria: Criterion | None = None
    calculated: list[dict[str, Any]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    @property
    def left_out(self) -> bool:
        """Whether something is missing."""
        return any(note.kind is Kind.LEFT_OUT for note in self.notes)


class Converter:
    """Converts one definition."""

    def __init__(
        self, audience_id: str, workspace: str, models: Models, audiences: Mapping[str, str]
    ) -> None:
        """Prepare to convert.

        Args:
            audience_id: ids of calculated attributes begin with it.
            workspace: of those.
            models: what each model is.
            audiences: their audience id -> ours.
        """
        self._audience_id = audience_id
        self._workspace = workspace
        self._models = models
        self._audiences = audiences
        self._converted = Converted()

    def convert(self, definition: sdk.Definition) -> Converted:
        """The criteria, what they use, and the notes on them."""
        self._converted.criteria = self._expression(definition.audience)
        for model, meaning in self._models.guessed.items():
            text = (
                f"the model `{model}` is read as custom events named `{meaning.name}`; "
                f"set its subject with --model {model}=SUBJECT"
            )
            self._note(Kind.READ_AS, "audience", text)
        return self._converted

    def _note(self, kind: Kind, at: str, text: str) -> None:
        self._converted.notes.append(Note(kind, at, text))

    def _expression(self, expression: sdk.Expression) -> Criterion | None:
        """The criterion of an expression; None, with notes, where nothing is left of it."""
        if isinstance(expression, sdk.Logical):
            return self._logical(expression)
        try:
            match expression:
                case sdk.Unary():
                    return self._unary(expression)
                case sdk.Binary():
                    return self._binary(normalized(expression))
                case sdk.Then():
                    return sequence_criterion(expression, self._models)
        except InexpressibleError as error:
            self._note(Kind.LEFT_OUT, expression.at, f"cannot be expressed: {error}")
            return None

    def _logical(self, expression: sdk.Logical) -> Criterion | None:
        children = [
            child
            for part in self._parts(expression)
            if (child := self._part(part, expression.at)) is not None
        ]
        key = "all" if expression.operator == "and" else "any"
        if not children:
            return None
        flat: list[Criterion] = []
        for child in children:
            flat.extend(child[key] if set(child) == {key} else [child])
        return flat[0] if len(flat) == 1 else {key: flat}

    def _parts(self, expression: sdk.Logical) -> list[list[sdk.Expression]]:
        """The children; those of an `and` that test rows of one event model go together."""
        if expression.operator == "or":
            return [[child] for child in expression.expressions]
        parts: list[list[sdk.Expression]] = []
        of_model: dict[str, list[sdk.Expression]] = defaultdict(list)
        for child in expression.expressions:
            model = is_about(child)
            if model is None or self._models.of(model) is None:
                parts.append([child])
                continue
            if model not in of_model:
                parts.append(of_model[model])
            of_model[model].append(child)
        return parts

    def _part(self, part: list[sdk.Expression], at: str) -> Criterion | None:
        if len(part) == 1:
            return self._expression(part[0])
        model = is_about(part[0])
        assert model is not None
        try:
            found = self._some_row(model, sdk.Logical("and", tuple(part), at), at)
        except InexpressibleError as error:
            self._note(Kind.LEFT_OUT, at, f"cannot be expressed: {error}")
            return None
        places = ", ".join(child.at.removeprefix(f"{at}.") for child in part)
        text = f"{places} are read as tests of one and the same `{model}`"
        self._note(Kind.READ_AS, at, text)
        return found

    # Leaves

    def _unary(self, unary: sdk.Unary) -> Criterion:
        match unary.operand:
            case sdk.ModelPath(model, path):
                if self._models.of(model) is None:
                    return user_unary(path, unary.operator)
                return self._some_row(model, unary, unary.at)
            case sdk.Model(model):
                meaning = self._models.of(model)
                if meaning is not None:
                    exists = unary.operator in {"exists", "not_null"}
                    count = {} if exists else {"count": {"less_than": 1}}
                    return Rows(meaning).criterion() | count
        raise InexpressibleError(f"`{unary.operator}` of this")

    def _binary(self, binary: sdk.Binary) -> Criterion:
        match binary.left, binary.right:
            case (sdk.AudienceId(audience), other) | (other, sdk.AudienceId(audience)):
                return self._membership(binary.operator, audience, other)
            case (sdk.ModelPath(model, path), sdk.Location() as location) if (
                self._models.of(model) is None
            ):
                return distance_test(path, binary.operator, location)
            case (sdk.Aggregate() as aggregate, sdk.Constant() as constant):
                return self._aggregate(aggregate, binary, constant)
            case (sdk.ModelPath(model, path), right):
                if self._models.of(model) is not None:
                    return self._some_row(model, binary, binary.at)
                criterion, note = user_test(path, binary.operator, right)
                if note is not None:
                    self._note(Kind.READ_AS, binary.at, note)
                return criterion
        raise InexpressibleError(f"`{binary.operator}` between these two")

    def _membership(self, operator: str, audience: str, other: sdk.Operand) -> Criterion:
        if operator not in _MEMBERSHIP or not isinstance(other, sdk.Model | sdk.ModelPath):
            raise InexpressibleError(f"`{operator}` of an audience")
        ours = self._audiences.get(audience)
        if ours is None:
            raise InexpressibleError(
                f"membership in the audience `{audience}` without --audience {audience}=ID"
            )
        criterion = {"audience": ours}
        return criterion if _MEMBERSHIP[operator] else {"not": criterion}

    # Events

    def _rows_of(self, model: str, condition: sdk.Expression | None, at: str) -> list[Rows]:
        meaning = self._models.of(model)
        if meaning is None:
            raise InexpressibleError("an aggregation over the profile")
        found = alternatives(model, meaning, condition)
        for note in dict.fromkeys(note for rows in found for note in rows.about):
            self._note(Kind.READ_AS, at, note)
        return found

    def _some_row(self, model: str, condition: sdk.Expression, at: str) -> Criterion:
        """There is a row for which the condition holds."""
        found = [rows.criterion() for rows in self._rows_of(model, condition, at)]
        return found[0] if len(found) == 1 else {"any": found}

    def _aggregate(
        self, aggregate: sdk.Aggregate, binary: sdk.Binary, constant: sdk.Constant
    ) -> Criterion:
        group = aggregate.group_by_model
        if self._models.of(group) is not None:
            raise InexpressibleError(f"an aggregation by `{group}`, which is not the profile")
        operand = aggregate.operand
        if not isinstance(operand, sdk.ModelPath | sdk.Model):
            raise InexpressibleError("an aggregation of a value that is worked out")
        rows = self._rows_of(operand.model, aggregate.condition, binary.at)
        if aggregate.operator == "count":
            return self._count(rows, operand, binary.operator, constant)
        if isinstance(operand, sdk.Model):
            raise InexpressibleError(f"`{aggregate.operator}` of whole rows")
        return self._calculated(aggregate.operator, rows, operand, binary.operator, constant)

    def _count(
        self,
        rows: list[Rows],
        operand: sdk.ModelPath | sdk.Model,
        operator: str,
        constant: sdk.Constant,
    ) -> Criterion:
        path = operand.path if isinstance(operand, sdk.ModelPath) else None
        for one in rows:
            if path is not None and not is_in_every_row(one.model, path):
                one.where.append(place_of(one.model, path) | {"exists": True})
        found = [one.criterion() for one in rows]
        if operator == "not_equals":
            return {"not": _counted(found, _count_form("equals", constant))}
        return _counted(found, _count_form(operator, constant))

    def _calculated(
        self,
        aggregation: str,
        rows: list[Rows],
        operand: sdk.ModelPath,
        operator: str,
        constant: sdk.Constant,
    ) -> Criterion:
        """A calculated attribute of its own, and the test of it."""
        if len(rows) != 1:
            raise InexpressibleError(f"`{aggregation}` over alternatives")
        (one,) = rows
        test = value_test(operator, constant)
        if aggregation == "list" and operator == "contains":
            test = {"includes": test["contains"]}
        of = one.subject() | place_of(one.model, operand.path)
        if one.where:
            of["where"] = one.where
        name = f"{self._audience_id}-{aggregation}-{len(self._converted.calculated) + 1}"
        attribute = {
            "id": name[-64:].lstrip("-._"),
            "workspace": self._workspace,
            "calculation": _CALCULATIONS[aggregation],
            "of": of,
        }
        self._converted.calculated.append(attribute | _reach(one.bounds.window()))
        return {"calculated_attribute": attribute["id"], **test}


def _reach(window: dict[str, Any] | None) -> dict[str, Any]:
    """`within` or `since`, as a calculated attribute takes them."""
    match window:
        case None:
            return {}
        case {"last": length}:
            return {"within": length}
        case {"after": day}:
            return {"since": day}
    raise InexpressibleError("an aggregation over a window that has ended")


def _count_form(operator: str, constant: sdk.Constant) -> dict[str, int]:
    number = constant.value
    whole = isinstance(number, int | float) and not isinstance(number, bool) and number % 1 == 0
    if operator not in _COUNTS or not whole:
        raise InexpressibleError(f"a count that `{operator}` {number!r}")
    assert isinstance(number, int | float)
    form = {_COUNTS[operator]: int(number)}
    if number < 0 or form in _NEVER_OR_ALWAYS:
        raise InexpressibleError("a count that can never or always hold")
    return form


def _counted(found: list[Criterion], form: dict[str, int]) -> Criterion:
    """The criteria of some alternatives, with a count of their events together."""
    if len(found) == 1:
        return found[0] | ({} if form == _SOME[0] else {"count": form})
    if form in _SOME:
        return {"any": found}
    if form in _NONE:
        return {"not": {"any": found}}
    raise InexpressibleError("a count over alternatives")


__all__ = ["Converted", "Converter", "EventModel"]
