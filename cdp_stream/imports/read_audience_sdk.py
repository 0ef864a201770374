"""Reads a definition of mParticle's audience-sdk; every problem of the file at once.

Source: docs/importing.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from cdp_stream.definitions.source.nodes import Mapping, Node, Scalar, Sequence, shown
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.imports import audience_sdk as sdk

# The schema asks for three numbers; samples that mParticle publishes have two.
_VERSION = re.compile(r"[0-9]+\.[0-9]+(?:\.[0-9]+)?(?:-[0-9A-Za-z.-]+)?")
_UNARY_KEYS: Final = ("operator", "operand")
_BINARY_KEYS: Final = ("operator", "left", "right")
_LOGICAL_KEYS: Final = ("operator", "expressions")
_THEN_KEYS: Final = ("operator", "sequence")
_AGGREGATE_KEYS: Final = ("operator", "group_by_model", "operand", "condition")
_OPERATORS: Final = (*sdk.UNARY, *sdk.BINARY, *sdk.LOGICAL, sdk.THEN)
_OPERAND: Final = "a value, a date, a path of a model, an audience or an aggregation"


class DefinitionReader:
    """Reads one file; what is wrong is noted, and what is wrong in a part is None."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def definition(self, document: Mapping) -> sdk.Definition | None:
        """The definition that a file holds; None when it is wrong."""
        self._keys(document, "", ("schema_version", "audience"), ())
        version = document.text("schema_version")
        if version is None:
            self._text(document, "schema_version", "")
        elif not _VERSION.fullmatch(version):
            mark = document.entries["schema_version"].value.mark
            message = f"the version `{shown(version)}` is not one that can be read"
            self._problems.error("bad-version", mark, "schema_version", message, "as `1.6.0`")
        audience = document.get("audience")
        if audience is None:
            return None
        expression = self.expression(audience, "audience")
        if expression is None or self._problems.found:
            return None
        return sdk.Definition(version or "", expression)

    def expression(self, node: Node, path: str) -> sdk.Expression | None:
        """A test, or tests combined."""
        if not isinstance(node, Mapping):
            self._problems.wrong_type(node, path, "an expression: a mapping with an `operator`")
            return None
        operator = self._operator(node, path, _OPERATORS)
        if operator is None:
            return None
        if operator in sdk.LOGICAL:
            return self._logical(operator, node, path)
        if operator == sdk.THEN:
            return self._then(node, path)
        if operator in sdk.UNARY:
            self._keys(node, path, _UNARY_KEYS, ())
            operand = self._operand_of(node, "operand", path)
            return None if operand is None else sdk.Unary(operator, operand, path)
        self._keys(node, path, _BINARY_KEYS, ())
        left = self._operand_of(node, "left", path)
        right = self._operand_of(node, "right", path)
        return None if left is None or right is None else sdk.Binary(operator, left, right, path)

    def _logical(self, operator: str, node: Mapping, path: str) -> sdk.Logical | None:
        self._keys(node, path, _LOGICAL_KEYS, ())
        listed = self._list(node, "expressions", path)
        read = [
            self.expression(item, f"{path}.expressions[{index}]")
            for index, item in enumerate(listed)
        ]
        return sdk.Logical(operator, tuple(child for child in read if child is not None), path)

    def _then(self, node: Mapping, path: str) -> sdk.Then | None:
        self._keys(node, path, _THEN_KEYS, ())
        steps = []
        for index, item in enumerate(self._list(node, "sequence", path)):
            where = f"{path}.sequence[{index}]"
            if not isinstance(item, Mapping):
                self._problems.wrong_type(item, where, "a step: a mapping")
                continue
            self._keys(item, where, ("alias", "operand"), ("condition",))
            operand = self._operand_of(item, "operand", where)
            condition = item.get("condition")
            read = None if condition is None else self.expression(condition, f"{where}.condition")
            if isinstance(operand, sdk.ModelPath):
                steps.append(sdk.Step(self._text(item, "alias", where), operand, read))
            elif operand is not None:
                value = item.entries["operand"].value
                self._problems.wrong_type(value, f"{where}.operand", "a path of a model")
        return sdk.Then(tuple(steps), path)

    def _operand_of(self, node: Mapping, key: str, path: str) -> sdk.Operand | None:
        value = node.get(key)
        return None if value is None else self.operand(value, f"{path}.{key}")

    def operand(self, node: Node, path: str) -> sdk.Operand | None:
        """A value, or where one comes from."""
        if isinstance(node, Scalar):
            if node.value is None:
                self._problems.wrong_type(node, path, _OPERAND)
                return None
            return sdk.Constant(node.value)
        if isinstance(node, Sequence):
            return self._constants(node, path)
        keys = node.entries.keys()
        if "date" in keys:
            return self._date(node, path)
        if "operator" in keys:
            return self._aggregate(node, path)
        if "location" in keys:
            return self._location(node, path)
        return self._reference(node, path)

    def _reference(self, node: Mapping, path: str) -> sdk.Operand | None:
        """An audience, a model, or a field of a model or of a step."""
        keys = node.entries.keys()
        if "audience" in keys:
            self._keys(node, path, ("audience",), ())
            return sdk.AudienceId(self._text(node, "audience", path))
        if "alias" in keys:
            self._keys(node, path, ("alias", "path"), ())
            return sdk.AliasPath(self._text(node, "alias", path), self._text(node, "path", path))
        if "model" in keys:
            self._keys(node, path, ("model",), ("path",))
            model = self._text(node, "model", path)
            if "path" not in keys:
                return sdk.Model(model)
            return sdk.ModelPath(model, self._text(node, "path", path))
        if "path" in keys:
            message, advice = "the key `model` is missing", "add `model`"
            self._problems.error("missing-key", node.mark, path, message, advice)
        else:
            self._problems.wrong_type(node, path, _OPERAND)
        return None

    def _constants(self, node: Sequence, path: str) -> sdk.Constant | None:
        values: list[bool | int | float | str] = []
        for index, item in enumerate(node.items):
            if isinstance(item, Scalar) and item.value is not None:
                values.append(item.value)
            else:
                expected = "text, a number or a boolean"
                self._problems.wrong_type(item, f"{path}[{index}]", expected)
        if not node.items:
            self._problems.error("empty-list", node.mark, path, "the list is empty")
        return sdk.Constant(values)

    def _date(self, node: Mapping, path: str) -> sdk.AbsoluteDate | sdk.RelativeDate | None:
        self._keys(node, path, ("date",), ())
        date = node.entries["date"].value
        where = f"{path}.date"
        if not isinstance(date, Mapping) or not {"absolute", "relative"} & date.entries.keys():
            self._problems.wrong_type(date, where, "`absolute` or `relative`")
            return None
        if "absolute" in date.entries:
            self._keys(date, where, ("absolute",), ())
            return sdk.AbsoluteDate(self._text(date, "absolute", where))
        self._keys(date, where, ("relative",), ())
        return self._relative(date.entries["relative"].value, f"{where}.relative")

    def _relative(self, node: Node, path: str) -> sdk.RelativeDate | None:
        if not isinstance(node, Mapping):
            self._problems.wrong_type(node, path, "a mapping with `offset` and `unit`")
            return None
        self._keys(node, path, ("offset", "unit"), ("boundary", "relative_to"))
        boundary = node.get("boundary")
        return sdk.RelativeDate(
            self._number(node, "offset", path),
            self._word(node, "unit", path, sdk.UNITS_MS),
            None if boundary is None else self._word(node, "boundary", path, sdk.BOUNDARIES),
            self._alias(node, path),
        )

    def _alias(self, node: Mapping, path: str) -> str | None:
        """The step that a date is relative to: its alias, or a path of it."""
        value = node.get("relative_to")
        if value is None:
            return None
        if isinstance(value, Mapping):
            return self._text(value, "alias", f"{path}.relative_to")
        return self._text(node, "relative_to", path)

    def _location(self, node: Mapping, path: str) -> sdk.Location | None:
        self._keys(node, path, ("location",), ())
        point = node.entries["location"].value
        where = f"{path}.location"
        if not isinstance(point, Mapping):
            self._problems.wrong_type(point, where, "`latitude` and `longitude`")
            return None
        self._keys(point, where, ("latitude", "longitude"), ("distance",))
        distance = point.get("distance")
        length = None
        if isinstance(distance, Mapping):
            at = f"{where}.distance"
            self._keys(distance, at, ("value", "unit"), ())
            unit = sdk.DISTANCES[self._word(distance, "unit", at, sdk.DISTANCES) or "meters"]
            length = f"{self._number(distance, 'value', at):g}{unit}"
        elif distance is not None:
            self._problems.wrong_type(distance, f"{where}.distance", "`value` and `unit`")
        latitude = self._number(point, "latitude", where)
        return sdk.Location(latitude, self._number(point, "longitude", where), length)

    def _aggregate(self, node: Mapping, path: str) -> sdk.Aggregate | sdk.Arithmetic | None:
        operator = self._operator(node, path, (*sdk.AGGREGATIONS, *sdk.ARITHMETIC))
        if operator is None:
            return None
        if operator in sdk.ARITHMETIC:
            return sdk.Arithmetic(operator)
        self._keys(node, path, _AGGREGATE_KEYS[:-1], _AGGREGATE_KEYS[-1:])
        operand = self._operand_of(node, "operand", path)
        condition = node.get("condition")
        read = None if condition is None else self.expression(condition, f"{path}.condition")
        if operand is None:
            return None
        return sdk.Aggregate(operator, self._text(node, "group_by_model", path), operand, read)

    # The parts of a mapping

    def _keys(
        self, node: Mapping, path: str, required: Collection[str], optional: Collection[str]
    ) -> None:
        prefix = f"{path}." if path else ""
        for key in required:
            if key not in node.entries:
                message = f"the key `{key}` is missing"
                self._problems.error("missing-key", node.mark, path, message, f"add `{key}`")
        known = (*required, *optional)
        for key, entry in node.entries.items():
            if key not in known:
                message, advice = f"unknown key `{shown(key)}`", None
                advice = self._problems.near_or_list(key, known)
                at = f"{prefix}{shown(key)}"
                self._problems.error("unknown-key", entry.key.mark, at, message, advice)

    def _operator(self, node: Mapping, path: str, known: Collection[str]) -> str | None:
        if "operator" not in node.entries:
            message = "the key `operator` is missing"
            self._problems.error("missing-key", node.mark, path, message, "add `operator`")
            return None
        return self._word(node, "operator", path, known) or None

    def _word(self, node: Mapping, key: str, path: str, known: Collection[str]) -> str:
        """One of the known words; empty, with a problem, for anything else."""
        word = self._text(node, key, path)
        if not word or word in known:
            return word
        mark, at = node.entries[key].value.mark, f"{path}.{key}"
        advice = self._problems.near_or_list(word, known)
        self._problems.error("bad-value", mark, at, f"`{shown(word)}` is not a valid {key}", advice)
        return ""

    def _text(self, node: Mapping, key: str, path: str) -> str:
        value = node.get(key)
        if isinstance(value, Scalar) and isinstance(value.value, str):
            return value.value
        if value is not None:
            self._problems.wrong_type(value, f"{path}.{key}" if path else key, "text")
        return ""

    def _number(self, node: Mapping, key: str, path: str) -> float:
        value = node.get(key)
        number = value.value if isinstance(value, Scalar) else None
        if isinstance(number, int | float) and not isinstance(number, bool):
            return number
        if value is not None:
            self._problems.wrong_type(value, f"{path}.{key}", "a number")
        return 0

    def _list(self, node: Mapping, key: str, path: str) -> list[Node]:
        value = node.get(key)
        if isinstance(value, Sequence):
            if not value.items:
                where = f"{path}.{key}"
                self._problems.error("empty-list", value.mark, where, "the list is empty")
            return value.items
        if value is not None:
            self._problems.wrong_type(value, f"{path}.{key}", "a list")
        return []
