"""Imports of small definitions, for the tests of them."""

from __future__ import annotations

import json
from typing import Any

from cdp_stream.definitions.source.problems import Problems
from cdp_stream.definitions.source.yaml_reader import parse
from cdp_stream.imports.convert import Converted, Converter
from cdp_stream.imports.models import Models, model_of
from cdp_stream.imports.read_audience_sdk import DefinitionReader

Json = Any


def path(text: str) -> Json:
    """`user.age` or `events.custom_attributes.genre`, as a path of a model."""
    model, _, rest = text.partition(".")
    return {"model": model, "path": rest}


def compare(operator: str, left: Json, right: Json) -> Json:
    """A comparison; text on the left is a path."""
    left = path(left) if isinstance(left, str) else left
    return {"operator": operator, "left": left, "right": right}


def every(*expressions: Json) -> Json:
    """All of them."""
    return {"operator": "and", "expressions": list(expressions)}


def some(*expressions: Json) -> Json:
    """Some of them."""
    return {"operator": "or", "expressions": list(expressions)}


def ago(days: float, unit: str = "day", **more: Json) -> Json:
    """So long before the present."""
    return {"date": {"relative": {"offset": -days, "unit": unit, **more}}}


def day(text: str) -> Json:
    """A date, or an instant."""
    return {"date": {"absolute": text}}


def count(condition: Json = None, of: Json = None, by: str = "user") -> Json:
    """How many events."""
    return aggregate("count", of or {"model": "events"}, condition, by)


def aggregate(operator: str, of: Json, condition: Json = None, by: str = "user") -> Json:
    """A value worked out of events; text is a path."""
    operand = path(of) if isinstance(of, str) else of
    more = {} if condition is None else {"condition": condition}
    return {"operator": operator, "group_by_model": by, "operand": operand, **more}


def convert(audience: Json, *models: str, **audiences: str) -> Converted:
    """What becomes of a definition."""
    problems = Problems()
    text = json.dumps({"schema_version": "1.6.0", "audience": audience})
    document = parse(text.encode(), "a.json", problems)
    assert document is not None
    definition = DefinitionReader(problems).definition(document)
    assert problems.found == []
    assert definition is not None
    known = Models(dict(map(model_of, models)))
    return Converter("a", "main", known, audiences).convert(definition)


def criteria(audience: Json, *models: str, **audiences: str) -> Json:
    """The criteria, of which nothing was left out."""
    converted = convert(audience, *models, **audiences)
    assert [str(note) for note in converted.notes if note.kind == "left out"] == []
    return converted.criteria


def left_out(audience: Json, *models: str) -> str:
    """Why the whole of a definition cannot be expressed."""
    converted = convert(audience, *models)
    assert converted.criteria is None
    found = [note for note in converted.notes if note.kind == "left out"]
    assert len(found) == 1
    return found[0].text.removeprefix("cannot be expressed: ")
