"""Whatever a file holds, reading it ends in an account or in problems, never in an exception."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import Loaded, load_text
from cdp_stream.definitions.criteria.criterion_keys import (
    CRITERION_SUBJECTS,
    EVENT_KEYS,
    OTHER_KEYS,
)
from cdp_stream.definitions.criteria.tests_on_values import VALUE_OPERATORS
from cdp_stream.definitions.source.nodes import Mapping, Node, Sequence
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.definitions.source.yaml_reader import parse

FOLDER = Path(__file__).parent / "good"
GOOD = (FOLDER / "travel.yaml").read_text()


def plain(node: Node) -> Any:
    if isinstance(node, Mapping):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    return [*map(plain, node.items)] if isinstance(node, Sequence) else node.value


def document_of(name: str) -> Any:
    node = parse((FOLDER / name).read_bytes(), name, Problems())
    assert node is not None
    return plain(node)


DOCUMENT = document_of("travel.yaml")
EVERY_FORM = document_of("every-form.yaml")
WORDS = [
    *(*VALUE_OPERATORS, *CRITERION_SUBJECTS, *EVENT_KEYS, *OTHER_KEYS),
    *("all", "any", "not", "exclude", "id", "criteria", "then", "remaining", "inputs", "tier"),
    *("wait", "closing", "regulation", "purpose", "of", "gdpr", "given", "city", "50km", "Paris"),
    *("publisher", "calculation", "sum", "ltv", "variants", "percent", "seed", "ab_test"),
    *("outputs", "connections", "connector", "output", "crm-mail", "log", "settings", "tags"),
    *("variant", "Platform A", "user_attributes", "list_id", "api_key", "${KEY}", "audiences"),
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
    document = copy.deepcopy(data.draw(st.sampled_from([DOCUMENT, EVERY_FORM])))
    for _ in range(data.draw(st.integers(1, 3))):
        options = places(document)
        container, key = options[data.draw(st.integers(0, len(options) - 1))]
        container[key] = data.draw(VALUES)
    check(load_text(json.dumps(document)))


@pytest.mark.parametrize("document", [DOCUMENT, EVERY_FORM], ids=["travel", "every-form"])
def test_a_file_that_is_right_is_read(document: Any) -> None:
    loaded = load_text(json.dumps(document))
    assert loaded.problems == []
    check(loaded)


@settings(deadline=None)
@given(VALUES)
def test_any_value_as_criteria(criteria: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["journeys"] = []
    document["audiences"] = [{"id": "a", "criteria": criteria}]
    check(load_text(json.dumps(document)))


@settings(deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, 30), st.text(max_size=8))
def test_a_file_with_characters_replaced(start: int, length: int, text: str) -> None:
    check(load_text(GOOD[:start] + text + GOOD[start + length :]))
