"""Discs on the map as truths."""

from __future__ import annotations

from itertools import islice

from cdp_stream.core.model.geo import distance_m
from cdp_stream.lint.circuit import Circuit
from cdp_stream.lint.profile_value import MAX_COMPARED

MARGIN_M = 1.0
"""So far apart, at least, are points that rounding might bring together."""

Disc = tuple[float, float, float]
"""Latitude and longitude, degrees; metres."""


def state_discs(circuit: Circuit, discs: dict[Disc, int]) -> None:
    """Note which discs lie in others, and which lie apart: distances on a sphere keep to the
    triangle inequality.
    """
    pairs = ((a, b) for a in discs for b in discs if a is not b)
    for one, other in islice(pairs, MAX_COMPARED):
        if one[:2] == other[:2]:
            if one[2] <= other[2]:
                circuit.imply(discs[one], discs[other])
            continue
        between = distance_m(*one[:2], *other[:2])
        if between + one[2] + MARGIN_M <= other[2]:
            circuit.imply(discs[one], discs[other])
        elif between - MARGIN_M > one[2] + other[2]:
            circuit.state(-discs[one], -discs[other])
