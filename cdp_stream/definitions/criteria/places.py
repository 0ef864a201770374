"""Reads `location: {within: 50km, of: "Paris, FR"}`: a distance and a place on the Earth.

Source: docs/definitions.md, location.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cdp_stream.definitions.criteria.gazetteer import gazetteer
from cdp_stream.definitions.source.nodes import Mapping, Node, Scalar, Sequence, describe, shown
from cdp_stream.definitions.source.problems import Problems

METRES: Final = {"m": 1.0, "km": 1000.0, "mi": 1609.344}
_DISTANCE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s?(km|mi|m)")
_KEYS: Final = ("within", "of")
_PLACE_ADVICE: Final = (
    'write a city, as `"Paris, FR"`, or `[latitude, longitude]`, as `[48.85, 2.35]`'
)
_BOUNDS: Final = (("latitude", 90), ("longitude", 180))


@dataclass(frozen=True, slots=True)
class Distance:
    """So many metres around a point, degrees; `text` as it was written."""

    metres: float
    latitude: float
    longitude: float
    text: str


def read_distance(node: Mapping, path: str, problems: Problems) -> Distance | None:
    """The distance that the mapping means, None when it is wrong."""
    problems.unknown_keys(node, path, _KEYS)
    for key, example in (("within", "within: 50km"), ("of", 'of: "Paris, FR"')):
        if key not in node.entries:
            problems.missing_key(node, path, key, f"add it, as `{example}`")
    within, of = node.get("within"), node.get("of")
    metres = None if within is None else _read_metres(within, f"{path}.within", problems)
    point = None if of is None else _read_point(of, f"{path}.of", problems)
    if metres is None or point is None or len(node.entries) > len(_KEYS):
        return None
    length = within.raw if isinstance(within, Scalar) else ""
    where = of.raw if isinstance(of, Scalar) else f"{point[0]:g}, {point[1]:g}"
    return Distance(metres, *point, f"within {length} of {where}")


def _read_metres(node: Node, path: str, problems: Problems) -> float | None:
    advice = "write a number and one of `m km mi`, as `50km`"
    match = _DISTANCE.fullmatch(node.raw) if isinstance(node, Scalar) else None
    if match is None:
        problems.error(
            "bad-distance", node.mark, path, f"{describe(node)} is not a valid distance", advice
        )
        return None
    metres = float(match[1]) * METRES[match[2]]
    if metres == 0:
        problems.error("bad-distance", node.mark, path, "the distance is zero", advice)
        return None
    return metres


def _read_point(node: Node, path: str, problems: Problems) -> tuple[float, float] | None:
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return _read_city(node, node.value, path, problems)
    if not isinstance(node, Sequence) or len(node.items) != len(_BOUNDS):
        message = f"{describe(node)} is not a valid place"
        problems.error("bad-place", node.mark, path, message, _PLACE_ADVICE)
        return None
    degrees = []
    for (name, most), item, index in zip(_BOUNDS, node.items, range(len(_BOUNDS)), strict=True):
        value = item.value if isinstance(item, Scalar) else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and isinstance(value, int | float) and -most <= value <= most:
            degrees.append(float(value))
            continue
        message = f"{describe(item)} is not a valid {name}"
        advice = f"a number of degrees from -{most} to {most}; the latitude comes first"
        problems.error("bad-place", item.mark, f"{path}[{index}]", message, advice)
    return (degrees[0], degrees[1]) if len(degrees) == len(_BOUNDS) else None


def _read_city(
    node: Scalar, text: str, path: str, problems: Problems
) -> tuple[float, float] | None:
    cities = gazetteer()
    city = cities.find(text)
    if city is not None:
        return city.latitude, city.longitude
    advice = cities.hint(text)
    if advice is None:
        advice = problems.near(*cities.like(text)) or (
            "cities of 15,000 people and more are known; write `[latitude, longitude]`"
        )
    problems.error("unknown-city", node.mark, path, f"there is no city `{shown(text)}`", advice)
    return None
