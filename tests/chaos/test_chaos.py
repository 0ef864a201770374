"""The short form of `make chaos`: a few schedules, each with something the others lack."""

import pytest

from tests.chaos.run import run_schedule
from tests.chaos.schedule import draw_schedule

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_is_killed_the_changes_are_those_of_replay(shared_kafka, tmp_path, seed):
    outcome = await run_schedule(draw_schedule(seed), shared_kafka, tmp_path)
    assert outcome.differences == [], str(outcome)
