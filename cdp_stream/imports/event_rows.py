"""Conditions on the rows of an event model, as an event criterion of ours.

A condition is spread out into alternatives, each a list of tests that all hold for one event: our
`where` has no "or".

Source: docs/importing.md, events.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

from cdp_stream.core.model.subject import ATTRIBUTION, COMMERCE, CRASH, EVENT, SCREEN_VIEW, SESSION
from cdp_stream.definitions.account.subjects import ANY, COMMERCE_ACTIONS, LIFECYCLE
from cdp_stream.imports import audience_sdk as sdk
from cdp_stream.imports.inexpressible import InexpressibleError
from cdp_stream.imports.models import EventModel
from cdp_stream.imports.value_tests import MIRRORED, unary_test, value_test
from cdp_stream.imports.windows import Bounds, about, bounds_of

MAX_ALTERNATIVES: Final = 16

ROW_PATHS: Final = frozenset({"id", "event_id", "source_message_id"})
"""Every row has these."""
TIMES: Final = frozenset(
    {"timestamp", "timestamp_unixtime_ms", "event_timestamp", "event_time", "occurred_at"}
)
_NAMES: Final = frozenset({"name", "event_name", "screen_name"})
_NAMED: Final = {EVENT: "event_name", SCREEN_VIEW: "screen_name", ATTRIBUTION: "event_name"}
"""The kinds of events that have a name of their own, each with the field that has it."""
_TYPES: Final = frozenset({"event_type", "type", "message_type"})
_ACTIONS: Final = frozenset({"action", "product_action", "product_action.action"})
_CUSTOM_TYPE: Final = "custom_event_type"
_KINDS: Final[dict[str, EventModel]] = {
    "custom_event": EventModel(EVENT),
    "screen_view": EventModel(SCREEN_VIEW),
    "commerce_event": EventModel(COMMERCE),
    "session_start": EventModel(SESSION, "start"),
    "session_end": EventModel(SESSION, "end"),
    "crash_report": EventModel(CRASH),
    "uninstall": EventModel("uninstall"),
    "first_run": EventModel("install"),
}
_PREFIXES: Final = (
    ("custom_attributes.", "attribute"),
    ("event_attributes.", "attribute"),
    ("attributes.", "attribute"),
    ("product_action.products.custom_attributes.", "product_attribute"),
    ("products.custom_attributes.", "product_attribute"),
    ("product_action.products.", "product"),
    ("products.", "product"),
    ("product.", "product"),
    ("product_action.", "field"),
    ("device_info.", "device"),
    ("device.", "device"),
)
_APP: Final = {
    "application_info.application_version": "version",
    "application_info.application_build_number": "build",
    "app.version": "version",
    "app.build": "build",
}
_ELSEWHERE: Final = frozenset({"location", "context", "application_info", "product_impressions"})
"""Parts of an event, or of its batch, in which `where` does not look."""

Atom = sdk.Unary | sdk.Binary


@dataclass(slots=True)
class Rows:
    """The rows that one alternative is about.

    Attributes:
        about: what was counted only about, for a note.
    """

    model: EventModel
    custom_event_type: str | None = None
    where: list[dict[str, Any]] = field(default_factory=list)
    bounds: Bounds = field(default_factory=Bounds)
    about: list[str] = field(default_factory=list)

    def subject(self) -> dict[str, Any]:
        """The subject key of ours."""
        if self.custom_event_type is not None:
            return {EVENT: {"name": self.model.name, "custom_event_type": self.custom_event_type}}
        return {self.model.kind: self.model.name}

    def selected(self) -> dict[str, Any]:
        """The subject with `where`."""
        return self.subject() | ({"where": self.where} if self.where else {})

    def criterion(self) -> dict[str, Any]:
        """An event criterion with no `count`.

        Raises:
            InexpressibleError: no window of ours has the bounds.
        """
        return self.selected() | {"when": self.bounds.window() or "any_time"}


def alternatives(
    model_name: str, model: EventModel, condition: sdk.Expression | None
) -> list[Rows]:
    """What rows a condition is about: those of any of the results.

    Raises:
        InexpressibleError: our event criteria cannot express it.
    """
    if condition is None:
        return [Rows(model)]
    return [_rows(model_name, model, atoms) for atoms in spread(condition)]


def spread(expression: sdk.Expression) -> list[tuple[Atom, ...]]:
    """The alternatives of a condition, each with the tests that all hold.

    Raises:
        InexpressibleError: there are too many, or there is a sequence.
    """
    if isinstance(expression, sdk.Then):
        raise InexpressibleError("a sequence within a condition on events")
    if not isinstance(expression, sdk.Logical):
        return [(expression,)]
    parts = [spread(child) for child in expression.expressions]
    if expression.operator == "or":
        found = [atoms for part in parts for atoms in part]
    else:
        found = [sum(chosen, ()) for chosen in _chosen(parts)]
    if len(found) > MAX_ALTERNATIVES:
        raise InexpressibleError(f"more than {MAX_ALTERNATIVES} alternatives")
    return found


def _chosen(parts: list[list[tuple[Atom, ...]]]) -> Iterator[tuple[tuple[Atom, ...], ...]]:
    """One of each part, for every way to choose; stops before there are too many."""
    ways = 1
    for part in parts:
        ways *= len(part)
        if ways > MAX_ALTERNATIVES:
            raise InexpressibleError(f"more than {MAX_ALTERNATIVES} alternatives")
    return product(*parts)


def place_of(model: EventModel, path: str) -> dict[str, str]:
    """Where a value of an event is, as a key of our `where`.

    Raises:
        InexpressibleError: our `where` does not look there.
    """
    if path in _APP:
        return {"app": _APP[path]}
    for prefix, place in _PREFIXES:
        if path.startswith(prefix):
            return {place: path.removeprefix(prefix)}
    if path in _NAMES and model.kind in _NAMED:
        return {"field": _NAMED[model.kind]}
    if path == _CUSTOM_TYPE:
        return {"field": path}
    if path in _TYPES:
        raise InexpressibleError(f"the value of `{path}`")
    if path.split(".", maxsplit=1)[0] in _ELSEWHERE:
        raise InexpressibleError(f"`{path}` of an event")
    return {"attribute" if model.kind in _NAMED else "field": path}


def is_in_every_row(model: EventModel, path: str) -> bool:
    """Whether every row of the model has a value there: counting those is counting rows."""
    return path in ROW_PATHS | TIMES | _TYPES or (path in _NAMES and model.kind in _NAMED)


def is_about(expression: sdk.Expression) -> str | None:
    """The one model whose rows an expression tests, and nothing else; None where there is none."""
    match expression:
        case sdk.Unary(_, sdk.ModelPath(model, _)):
            return model
        case sdk.Binary(_, left, right):
            models = {side.model for side in (left, right) if isinstance(side, sdk.ModelPath)}
            other = any(isinstance(side, sdk.Aggregate | sdk.AudienceId) for side in (left, right))
            return models.pop() if len(models) == 1 and not other else None
        case sdk.Logical(_, children):
            found = {is_about(child) for child in children}
            return found.pop() if len(found) == 1 else None
    return None


def _rows(model_name: str, model: EventModel, atoms: tuple[Atom, ...]) -> Rows:
    rows = Rows(model)
    # What kind of events these are decides what a name is and where values are: kinds come first.
    ordered = sorted(atoms, key=lambda atom: not _is_of(atom, _TYPES))
    rest = [atom for atom in ordered if not _narrows(rows, model_name, atom)]
    for atom in rest:
        _test(rows, model_name, atom)
    return rows


def _is_of(atom: Atom, paths: frozenset[str]) -> bool:
    operands = (atom.operand,) if isinstance(atom, sdk.Unary) else (atom.left, atom.right)
    return any(isinstance(side, sdk.ModelPath) and side.path in paths for side in operands)


def normalized(atom: sdk.Binary) -> sdk.Binary:
    """The comparison with its constant on the right."""
    if isinstance(atom.left, sdk.Constant | sdk.AbsoluteDate | sdk.RelativeDate):
        mirrored = MIRRORED.get(atom.operator)
        if mirrored is None:
            raise InexpressibleError(f"`{atom.operator}` with a value on its left")
        return sdk.Binary(mirrored, atom.right, atom.left, atom.at)
    return atom


def _narrows(rows: Rows, model_name: str, atom: Atom) -> bool:
    """Apply a test of which events these are; False for any other."""
    if not isinstance(atom, sdk.Binary):
        return False
    match normalized(atom):
        case sdk.Binary("equals", sdk.ModelPath(model, path), sdk.Constant(str() as text)):
            if model != model_name:
                return False
            return _narrow(rows, path, text)
    return False


def _narrow(rows: Rows, path: str, text: str) -> bool:
    kind, name = rows.model.kind, rows.model.name
    if path in _TYPES:
        meant = _KINDS.get(text)
        if meant is None or (kind not in {EVENT, meant.kind} or name not in {ANY, meant.name}):
            raise InexpressibleError(f"the event type `{text}` here")
        rows.model = EventModel(meant.kind, meant.name if name == ANY else name)
        return True
    if path == _CUSTOM_TYPE and kind == EVENT and rows.custom_event_type is None:
        rows.custom_event_type = text
        return True
    named = _NAMES if kind in _NAMED else _ACTIONS
    if path not in named or kind in LIFECYCLE or kind == SESSION:
        return False
    if name != ANY or text == ANY:
        raise InexpressibleError(f"events with two names, or with the name `{ANY}`")
    if kind == COMMERCE and text not in COMMERCE_ACTIONS:
        raise InexpressibleError(f"the commerce action `{text}`")
    rows.model = EventModel(kind, text)
    return True


def _test(rows: Rows, model_name: str, atom: Atom) -> None:
    """Take in one more test of the rows."""
    left = atom.operand if isinstance(atom, sdk.Unary) else normalized(atom).left
    if not isinstance(left, sdk.ModelPath) or left.model != model_name:
        raise InexpressibleError(f"a condition on something else than `{model_name}`")
    if left.path in _NAMES | _TYPES | _ACTIONS | {_CUSTOM_TYPE}:
        raise InexpressibleError(
            f"`{atom.operator}` of `{left.path}`: events are identified by equality"
        )
    if isinstance(atom, sdk.Unary):
        if left.path not in TIMES | ROW_PATHS:
            rows.where.append(place_of(rows.model, left.path) | unary_test(atom.operator))
        elif atom.operator in {"null", "not_exists"}:
            raise InexpressibleError(f"events with no `{left.path}`")
        return
    binary = normalized(atom)
    match binary.right:
        case sdk.AbsoluteDate() | sdk.RelativeDate() as when:
            _test_time(rows, left.path, binary.operator, when)
        case sdk.Constant() as constant:
            place = place_of(rows.model, left.path)
            rows.where.append(place | value_test(binary.operator, constant))
        case _:
            raise InexpressibleError("a comparison of two fields")


def _test_time(
    rows: Rows, path: str, operator: str, when: sdk.AbsoluteDate | sdk.RelativeDate
) -> None:
    bounds = bounds_of(operator, when)
    if (note := about(when)) is not None:
        rows.about.append(note)
    if path in TIMES:
        rows.bounds &= bounds
        return
    if isinstance(when, sdk.RelativeDate):
        raise InexpressibleError(f"`{path}` compared with the present, of an event")
    rows.where.append(place_of(rows.model, path) | (bounds.window() or {}))
