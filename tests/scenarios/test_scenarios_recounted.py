"""The scenarios of this folder, recounted: recount and engine read the specification alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.properties.recount import recount
from tests.scenarios.reading import change_of, read_scenario, scenario_files


@pytest.mark.parametrize("path", scenario_files(), ids=lambda path: path.stem)
def test_a_recount_gives_the_changes_of_the_scenario(path: Path) -> None:
    scenario = read_scenario(path)
    found = recount(scenario.definitions, scenario.batches, scenario.until)
    assert [change_of(change) for change in found] == scenario.expected
