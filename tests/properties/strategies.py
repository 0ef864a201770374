"""Whole cases: a definition file, a stream that collides with it, and an `--until`."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.properties.definition_strategies import definition_files
from tests.properties.recount_events import arrival
from tests.properties.stream_strategies import Surroundings, batches
from tests.properties.value_strategies import DAY

Json = Any

UNHURRIED = settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
"""Of tests whose cases are large, and often none."""


@st.composite
def cases(draw: st.DrawFn) -> tuple[Json, list[Json], int | None]:
    """A definition file, a stream for it, and an `--until`."""
    definitions = draw(definition_files())
    around = Surroundings(draw, definitions)
    stream = [draw(batches(around)) for _ in range(draw(st.integers(8, 24)))]
    if draw(st.integers(0, 2)) < 2:
        stream.sort(key=arrival)
    until = None if draw(st.booleans()) else around.instant() + draw(st.sampled_from([0, 40 * DAY]))
    return definitions, stream, until


Erasing = tuple[Json, list[Json], int | None, list[tuple[int, int, int]]]


@st.composite
def erasing_cases(draw: st.DrawFn) -> Erasing:
    """A case, and erasures: (how many batches come before, mpid, epoch ms), in order."""
    definitions = draw(definition_files())
    around = Surroundings(draw, definitions)
    stream = [draw(batches(around)) for _ in range(draw(st.integers(8, 24)))]
    if draw(st.integers(0, 2)) < 2:
        stream.sort(key=arrival)
    places = sorted(draw(st.lists(st.integers(1, len(stream)), min_size=1, max_size=3)))
    erasures = []
    for place in places:
        before = stream[place - 1]
        at = draw(st.one_of(st.just(arrival(before)), st.just(around.instant())))
        erasures.append((place, int(before["mpid"]), at))
    return definitions, stream, None if draw(st.booleans()) else around.instant(), erasures
