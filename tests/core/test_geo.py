"""Distances against published ones, and what a place on the Earth is."""

import math

import pytest

from cdp_stream.core.model.geo import coordinates_of, distance_m

LYON = (45.7597, 4.8422)
PARIS = (48.8567, 2.3508)
LONDON = (51.509865, -0.118092)
NEW_YORK = (40.7033962, -74.2351462)
LAX = (33 + 57 / 60, -(118 + 24 / 60))
JFK = (40 + 38 / 60, -(73 + 47 / 60))
BNA = (36.12, -86.67)
LAX_TOO = (33.94, -118.40)
RADIUS_M = 6_371_008.8
QUARTER_M = 10_007_557.2
"""A quarter of the circumference: pi / 2 * 6,371,008.8 m."""


@pytest.mark.parametrize(
    ("one", "other", "metres", "within"),
    [
        # The PyPI package haversine 2.8, on the same sphere (tests/geo_ressources.py).
        (LYON, PARIS, 392_217.2595593981, 1e-6),
        (LONDON, PARIS, 343_374.55271, 0.01),
        (PARIS, NEW_YORK, 5_853_328.98662, 0.01),
        (LONDON, NEW_YORK, 5_586_484.47423, 0.01),
        # E. Williams, Aviation Formulary, worked example: 0.623585 radians, 2144 nautical miles.
        (JFK, LAX, 0.623585 * RADIUS_M, 0.0000005 * RADIUS_M),
        # https://rosettacode.org/wiki/Haversine_formula: 2887.2599506071106 km on 6372.8 km.
        (BNA, LAX_TOO, 2_887_259.9506071106 / 6_372_800 * RADIUS_M, 1e-6),
    ],
)
def test_distances_are_those_that_are_published(one, other, metres, within):
    assert distance_m(*one, *other) == pytest.approx(metres, abs=within)
    assert distance_m(*other, *one) == pytest.approx(metres, abs=within)


def test_a_place_is_no_way_from_itself():
    assert distance_m(*PARIS, *PARIS) == 0


@pytest.mark.parametrize(
    ("one", "other", "quarters"),
    [
        ((0, 0), (0, 90), 1),
        ((0, 0), (90, 0), 1),
        ((0, 0), (0, 180), 2),
        ((90, 0), (-90, 0), 2),
        ((12.345, 67.89), (-12.345, 67.89 - 180), 2),
        ((0, 179), (0, -179), 2 / 90),
        ((90, 10), (90, -170), 0),
    ],
)
def test_poles_the_date_line_and_places_opposite_each_other(one, other, quarters):
    assert distance_m(*one, *other) == pytest.approx(QUARTER_M * quarters, abs=1)


def test_distances_are_exact_to_a_metre():
    # A degree of latitude is 111,195.08 m.
    assert distance_m(0, 0, 1 / 111_195.08, 0) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ({"latitude": 48.85, "longitude": 2.35}, (48.85, 2.35)),
        ({"latitude": 0, "longitude": 0}, (0, 0)),
        ({"latitude": -90, "longitude": 180}, (-90, 180)),
        ({"latitude": 90.0001, "longitude": 0}, None),
        ({"latitude": 0, "longitude": -180.0001}, None),
        ({"latitude": math.nan, "longitude": 0}, None),
        ({"latitude": 0, "longitude": math.inf}, None),
        ({"latitude": "48.85", "longitude": 2.35}, None),
        ({"latitude": True, "longitude": 2.35}, None),
        ({"latitude": None, "longitude": 2.35}, None),
        ({"latitude": 48.85}, None),
        ({"longitude": 2.35}, None),
        ({"latitude": 10**400, "longitude": 0}, None),
        ({}, None),
    ],
)
def test_coordinates_are_two_numbers_in_range(location, found):
    assert coordinates_of(location) == found
