"""Whole cases: a definition file, a stream that collides with it, and an `--until`."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.properties.definition_strategies import definition_files
from tests.properties.recount_events import arrival
from tests.properties.stream_strategies import Surroundings, batches
from tests.properties.value_strategies import DAY

Json = Any


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
