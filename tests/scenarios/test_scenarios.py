"""The scenarios of this folder, run by `cdp test` and by `cdp replay`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cdp_stream.cli.main import main
from cdp_stream.definition_tests.case import Case, ExpectedChange
from cdp_stream.definition_tests.run import run_case
from tests.offline.replaying import replay_batches
from tests.scenarios.reading import change_of, read_scenario, scenario_files

every_scenario = pytest.mark.parametrize("path", scenario_files(), ids=lambda path: path.stem)


@every_scenario
def test_cdp_test_passes(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["test", str(path)])
    assert (status, "1 passed, 0 failed" in capsys.readouterr().out) == (0, True)


@every_scenario
def test_a_replay_prints_every_change_with_its_ordinal(path: Path) -> None:
    """Here inputs are named by their api keys."""
    scenario = read_scenario(path)
    lines = [json.dumps(batch).encode() for batch in scenario.batches]
    changes = [change_of(change) for change in replay_batches(scenario.text, lines, scenario.until)]
    assert changes == scenario.expected


@every_scenario
def test_a_scenario_that_expects_one_change_less_fails(path: Path) -> None:
    scenario = read_scenario(path)
    (listed,) = scenario.case.steps[-1].changes
    if listed.changes:
        fewer = listed.changes[:-1]
    else:
        (audience, *_) = scenario.plan.audiences
        fewer = (ExpectedChange("add", audience.id, 1),)
    assert not run_case(expecting(scenario.case, fewer), scenario.plan).passed


def expecting(case: Case, changes: tuple[ExpectedChange, ...]) -> Case:
    """The same test with other changes expected at its end."""
    *steps, end = case.steps
    (listed,) = end.changes
    return replace(case, steps=(*steps, replace(end, changes=(replace(listed, changes=changes),))))
