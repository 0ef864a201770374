"""Whatever a test file holds, it is run or refused with problems; nothing is raised."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp_stream.definition_tests.read import load_suites
from cdp_stream.definition_tests.report import FileResult, as_json, as_junit, as_text
from cdp_stream.definition_tests.run import run_case
from tests.definition_tests.files import DEFINITIONS

DOCUMENT = yaml.safe_load("""\
version: 1
definitions: definitions.yaml
input: web
start: "2026-01-01"
tests:
  - name: a
    steps:
      - {at: 1s, profile: 7, event: A, attributes: {b: 1}, occurred_at: -1s, id: e}
      - {after: 1s, profile: 7, commerce: purchase, total_amount: 3, products: [{id: p}]}
      - {profile: 8, events: [{screen_view: A}, {session: end}], user_attributes: {plan: gold}}
      - {at: 1h, batch: {mpid: 7, events: [{event_type: uninstall, data: {}}]}, rejected: 0}
      - {until: "2026-02-01", expect: {gold: [7]}, members: {buyers: []}, not_members: {gold: []}}
      - {changes: [{add: 7, audience: gold, at: 3s, cause: profile, variant: V}]}
      - {changes: {gold: [{delete: 7}]}}
""")
WORDS = ["7", "+3d", "-1h", "gold", "buyers", "any", "purchase", "event", "at", "changes", "\udc80"]
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(WORDS)
)  # fmt: skip
KEYS = st.text(max_size=5) | st.sampled_from([*WORDS, "profile", "batch", "add", "products"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a document below its top."""
    found = [at] if at else []
    if isinstance(node, dict | list):
        children = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in children:
            found += places(value, (*at, key))
    return found


def replaced(document: Any, at: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    node = changed
    for key in at[:-1]:
        node = node[key]
    node[at[-1]] = value
    return changed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite")
    (path / "definitions.yaml").write_text(DEFINITIONS)
    return path


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(places(DOCUMENT)), VALUES)
def test_a_file_with_anything_in_one_place(folder: Path, at: tuple[Any, ...], value: Any) -> None:
    file = folder / "suite.yaml"
    file.write_text(json.dumps(replaced(DOCUMENT, at, value)))
    loaded = load_suites([file])
    assert bool(loaded.suites) != bool(loaded.wrong)
    results = [FileResult(name, (), problems) for name, problems in loaded.wrong]
    for suite in loaded.suites:
        results.append(FileResult(suite.file, tuple(run_case(c, suite.plan) for c in suite.cases)))
    assert as_text(results)
    assert as_junit(results)
    assert json.dumps(as_json(results))
