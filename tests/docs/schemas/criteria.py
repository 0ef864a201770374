"""The JSON Schema of criteria: one alternative for each subject, with the keys that go beside it.

Source: docs/definitions.md, criteria.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cdp_stream.core.identity_types import IDENTITY_TYPES
from cdp_stream.core.model.subject import COMMERCE, EVENT, SESSION, SUBJECTS
from cdp_stream.definitions.account.subjects import (
    ANY,
    COMMERCE_ACTIONS,
    LIFECYCLE,
    PRODUCT_ACTIONS,
    SESSION_ENDS,
)
from cdp_stream.definitions.criteria.conditions import APP_FIELDS, SOURCES
from cdp_stream.definitions.criteria.consents import CCPA, GDPR, STATES
from cdp_stream.definitions.criteria.counts import COUNT_FORMS
from cdp_stream.definitions.criteria.criterion_keys import (
    ATTRIBUTIONS,
    AUDIENCE,
    CALCULATED_ATTRIBUTE,
    CART_ABANDONMENT,
    CONSENT,
    COUNT,
    DEVICE,
    EXCLUDE,
    GROUPS,
    IDENTITY,
    LOCATION,
    SEEN,
    SEQUENCE,
    STATE,
    TAKES,
    USER_ATTRIBUTE,
    WHEN,
    WHERE,
    WITHIN,
)
from cdp_stream.definitions.criteria.places import METRES
from cdp_stream.definitions.criteria.profile_criteria import ATTRIBUTION_FIELDS, LOCATION_FIELDS
from cdp_stream.definitions.criteria.sequences import FEWEST_STEPS
from cdp_stream.definitions.criteria.tests_on_values import (
    BOOLEAN_OPERATORS,
    LIST_OPERATORS,
    NUMBER_OPERATORS,
    VALUE_OPERATORS,
)
from cdp_stream.definitions.criteria.windows import ANY_TIME, DATE_OPERATORS
from cdp_stream.definitions.criteria.written import INPUTS, WORKSPACE
from cdp_stream.definitions.source.durations import DURATION_PATTERN
from tests.docs.schemas.words import OPERATORS, SUBJECT_WORDS

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
DURATION: Final[Schema] = {"type": "string", "pattern": f"^{DURATION_PATTERN}$"}
DAY: Final[Schema] = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_SCALAR: Final[Schema] = {"type": ["string", "number", "boolean"]}
_DISTANCE: Final[Schema] = {
    "type": "string",
    "pattern": rf"^[0-9]{{1,9}}(\.[0-9]{{1,9}})?\s?({'|'.join(METRES)})$",
}


def ref(name: str) -> Schema:
    """A reference to a definition of the same document."""
    return {"$ref": f"#/definitions/{name}"}


def mapping(properties: Mapping[str, Any], required: Iterable[str] = ()) -> Schema:
    """An object of these members and no others."""
    schema: Schema = {"type": "object", "properties": dict(properties)}
    if required := list(required):
        schema["required"] = required
    return schema | {"additionalProperties": False}


def list_of(items: Schema, least: int = 1) -> Schema:
    """A list that is not empty."""
    return {"type": "array", "items": items, "minItems": least}


def folded(words: Iterable[str]) -> Schema:
    """One of some words; an editor proposes them as they are here, and any case is right."""
    listed = list(words)
    pattern = "|".join(map(_in_any_case, listed))
    return {"anyOf": [{"enum": listed}, {"type": "string", "pattern": f"^({pattern})$"}]}


def _in_any_case(word: str) -> str:
    # Not by a flag: the regular expressions of JavaScript have none within a pattern.
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in word)


def _pair(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 2, "maxItems": 2}


def _exactly_one(names: Iterable[str]) -> Schema:
    return {"oneOf": [{"required": [name]} for name in names]}


def _window(operator: str) -> Schema:
    if operator == "last":
        return DURATION
    return {"anyOf": [_pair(DURATION), _pair(DAY)]} if operator == "between" else DAY


def _operand(operator: str) -> Schema:
    if operator == "between":
        return {"anyOf": [_pair({"type": "number"}), _pair(DURATION), _pair(DAY)]}
    if operator in DATE_OPERATORS:
        return _window(operator)
    if operator in NUMBER_OPERATORS:
        return {"type": "number"}
    if operator in BOOLEAN_OPERATORS:
        return {"type": "boolean"}
    return list_of(_SCALAR) if operator in LIST_OPERATORS else _SCALAR


def _operators(allowed: Iterable[str] = VALUE_OPERATORS) -> Schema:
    return {
        operator: _operand(operator) | {"description": OPERATORS[operator]}
        for operator in VALUE_OPERATORS
        if operator in allowed
    }


def _subject_value(kind: str) -> Schema:
    if kind == COMMERCE:
        return folded((*COMMERCE_ACTIONS, ANY))
    if kind == SESSION:
        return folded(SESSION_ENDS)
    if kind in LIFECYCLE:
        return {"const": ANY}
    if kind != EVENT:
        return TEXT
    narrowed = mapping({"name": TEXT, "custom_event_type": TEXT}) | {"minProperties": 1}
    return {"anyOf": [TEXT, narrowed]}


def event_subjects() -> Schema:
    """The event subjects, as properties."""
    return {kind: _subject_value(kind) | {"description": SUBJECT_WORDS[kind]} for kind in SUBJECTS}


def one_subject() -> Schema:
    """Exactly one event subject is there."""
    return _exactly_one(SUBJECTS)


_PLACES: Final[Schema] = {
    source: ({"enum": list(APP_FIELDS)} if source == "app" else TEXT)
    | {"description": SUBJECT_WORDS[f"where {source}"]}
    for source in SOURCES
}


def places() -> Schema:
    """Where a value of an event is found, as properties."""
    return _PLACES


def _condition() -> Schema:
    one_each = [_exactly_one(SOURCES), _exactly_one(VALUE_OPERATORS)]
    return mapping(_PLACES | _operators()) | {"allOf": one_each}


def _count() -> Schema:
    bound = {"type": "integer"}
    forms = {form: _pair(bound) if form == "between" else bound for form in COUNT_FORMS}
    return mapping(forms) | {"minProperties": 1, "maxProperties": 1}


def _windows(*, any_time: bool) -> Schema:
    forms = {operator: _window(operator) for operator in DATE_OPERATORS}
    test = mapping(forms) | {"minProperties": 1, "maxProperties": 1}
    return {"anyOf": [{"const": ANY_TIME}, test]} if any_time else test


def _cart() -> Schema:
    actions = folded((*PRODUCT_ACTIONS, ANY))
    closing = {"anyOf": [{"const": ANY}, list_of(actions)]}
    return mapping({"wait": DURATION, "closing": closing}, ["wait"])


def _step() -> Schema:
    return mapping(event_subjects() | {WHERE: ref("where")}) | one_subject()


def _consent() -> Schema:
    gdpr = mapping({"regulation": folded([GDPR]), "purpose": TEXT}, ["regulation", "purpose"])
    return {"anyOf": [gdpr, mapping({"regulation": folded([CCPA])}, ["regulation"])]}


def _distance() -> Schema:
    degrees = [{"type": "number", "minimum": -most, "maximum": most} for most in (90, 180)]
    point = {"type": "array", "items": degrees, "minItems": 2, "maxItems": 2}
    return mapping({"within": _DISTANCE, "of": {"anyOf": [TEXT, point]}}, ["within", "of"])


_KEYS: Final[Schema] = {
    WHERE: ref("where"),
    COUNT: ref("count"),
    WHEN: ref("when"),
    WITHIN: DURATION,
    INPUTS: list_of(TEXT),
    WORKSPACE: TEXT,
    STATE: folded(dict.fromkeys(state for states in STATES.values() for state in states)),
}
_VALUES: Final[Schema] = {
    **{kind: _subject_value(kind) for kind in SUBJECTS},
    CART_ABANDONMENT: _cart(),
    SEQUENCE: list_of(ref("step"), FEWEST_STEPS),
    USER_ATTRIBUTE: TEXT,
    CALCULATED_ATTRIBUTE: TEXT,
    AUDIENCE: TEXT,
    CONSENT: _consent(),
    DEVICE: TEXT,
    # In any spelling that is brought to one of these.
    IDENTITY: {"anyOf": [{"enum": sorted(IDENTITY_TYPES)}, TEXT]},
    **dict.fromkeys(SEEN, ref("date_test")),
    LOCATION: {"enum": list(LOCATION_FIELDS)},
    **{head: {"enum": list(ATTRIBUTION_FIELDS)} for head in ATTRIBUTIONS},
}
_NEEDED: Final = {SEQUENCE: [WITHIN], CONSENT: [STATE]}


def _headed(head: str, value: Schema, takes: tuple[str, ...]) -> Schema:
    """One kind of criterion."""
    properties = {head: value | {"description": SUBJECT_WORDS[head]}}
    for key in takes:
        if key in _KEYS:
            properties[key] = _KEYS[key] | {"description": SUBJECT_WORDS[f"with {key}"]}
    properties |= _operators(takes)
    properties[EXCLUDE] = ref("exclude")
    schema = mapping(properties, [head, *_NEEDED.get(head, ())])
    operators = [key for key in takes if key in VALUE_OPERATORS]
    return schema | _exactly_one(operators) if operators else schema


def _groups() -> list[Schema]:
    found = []
    for group in GROUPS:
        value = ref("criterion") if group == "not" else list_of(ref("criterion"))
        found.append(_headed(group, value, ()))
    return found


def criteria_definitions() -> Schema:
    """The definitions that `criterion`, `where` and what is in them need, by name."""
    kinds = [_headed(head, _VALUES[head], takes) for head, takes in TAKES.items()]
    kinds.append(_headed(LOCATION, _distance(), (WORKSPACE,)))
    return {
        "criterion": {"anyOf": [*_groups(), *kinds]},
        "exclude": list_of(ref("criterion")) | {"description": SUBJECT_WORDS[EXCLUDE]},
        "where": list_of(ref("condition")),
        "condition": _condition(),
        "count": _count(),
        "when": _windows(any_time=True),
        "date_test": _windows(any_time=False),
        "step": _step(),
    }
