"""Distances on the Earth, as a sphere of 6,371,008.8 m (the mean radius, IUGG).

Source: docs/definitions.md, location; R. W. Sinnott, "Virtues of the Haversine", 1984.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import asin, cos, radians, sin, sqrt
from typing import Any, Final

RADIUS_M: Final = 6_371_008.8
_GREATEST_LATITUDE: Final = 90
_GREATEST_LONGITUDE: Final = 180


def distance_m(latitude: float, longitude: float, to_latitude: float, to_longitude: float) -> float:
    """The great-circle distance of two points in degrees, metres, by the haversine formula."""
    phi, to_phi = radians(latitude), radians(to_latitude)
    across = sin((to_phi - phi) / 2) ** 2
    along = sin(radians(to_longitude - longitude) / 2) ** 2
    # Rounding may take the sum a little over 1 for points opposite each other.
    return 2 * RADIUS_M * asin(sqrt(min(1.0, across + cos(phi) * cos(to_phi) * along)))


def coordinates_of(location: Mapping[str, Any]) -> tuple[float, float] | None:
    """Latitude and longitude of a location, degrees; None unless both are numbers in range."""
    latitude = _degrees(location.get("latitude"), _GREATEST_LATITUDE)
    longitude = _degrees(location.get("longitude"), _GREATEST_LONGITUDE)
    return None if latitude is None or longitude is None else (latitude, longitude)


def _degrees(value: Any, greatest: int) -> float | None:
    return value if type(value) in (int, float) and -greatest <= value <= greatest else None
