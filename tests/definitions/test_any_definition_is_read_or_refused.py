"""Whatever a file holds, reading it ends in an account or in problems, never in an exception."""

import copy
import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_stream.core.plan import build_plan
from cdp_stream.definitions import Loaded, load_text
from cdp_stream.definitions.criterion_keys import CRITERION_SUBJECTS, EVENT_KEYS, LATER_SUBJECTS
from cdp_stream.definitions.tests_on_values import VALUE_OPERATORS

GOOD = (Path(__file__).parent / "good" / "travel.yaml").read_text()
DOCUMENT = yaml.load(GOOD, Loader=yaml.BaseLoader)
WORDS = [
    *(*VALUE_OPERATORS, *CRITERION_SUBJECTS, *EVENT_KEYS, *LATER_SUBJECTS),
    *("all", "any", "not", "exclude", "id", "criteria", "then", "remaining", "inputs", "tier"),
    *("any_time", "3d", "0d", "2018-09-09", "web", "travel", "paris-premium", "trial/watched", ""),
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 5),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(max_size=3),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
    ),
    max_leaves=6,
)


def check(loaded: Loaded) -> None:
    assert (loaded.account is None) == bool(loaded.problems)
    for problem in loaded.problems:
        assert "\n" not in str(problem)
        json.dumps(problem.as_json())
    if loaded.account is not None:
        build_plan(loaded.account)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a decoded document."""
    if isinstance(node, dict):
        found = [(node, key) for key in node]
    elif isinstance(node, list):
        found = [(node, index) for index in range(len(node))]
    else:
        return []
    return found + [place for container, key in list(found) for place in places(container[key])]


@settings(deadline=None)
@given(st.data())
def test_a_file_with_parts_replaced(data: st.DataObject) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["version"] = 1
    for _ in range(data.draw(st.integers(1, 3))):
        options = places(document)
        container, key = options[data.draw(st.integers(0, len(options) - 1))]
        container[key] = data.draw(VALUES)
    check(load_text(json.dumps(document)))


@settings(deadline=None)
@given(VALUES)
def test_any_value_as_criteria(criteria: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["version"] = 1
    document["journeys"] = []
    document["audiences"] = [{"id": "a", "criteria": criteria}]
    check(load_text(json.dumps(document)))


@settings(deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, 30), st.text(max_size=8))
def test_a_file_with_characters_replaced(start: int, length: int, text: str) -> None:
    check(load_text(GOOD[:start] + text + GOOD[start + length :]))
