"""A schedule is a pure function of its seed, possible in every step, and not too long."""

import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tests.chaos.schedule import PLACES, SESSION_S, SLICES, draw_schedule

SEEDS = range(300)


def test_a_seed_gives_the_same_schedule_in_every_process():
    code = "from tests.chaos.schedule import draw_schedule; print(draw_schedule(7))"
    command = [sys.executable, "-c", code]
    printed = {
        subprocess.run(
            command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": str(number)},
        ).stdout
        for number in (1, 2)
    }  # fmt: skip
    assert printed == {f"{draw_schedule(7)}\n"}


def test_different_seeds_give_different_schedules():
    assert len({draw_schedule(seed).steps for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS[:100])
def test_every_step_is_possible_in_its_turn(seed):
    schedule = draw_schedule(seed)
    state = dict.fromkeys(range(PLACES), "out")
    wanted = {"join": ("out", "running"), "terminate": ("running", "out"),
              "freeze": ("running", "frozen"), "thaw": ("frozen", "running"),
              "damage": ("out", "out")}  # fmt: skip
    for step in schedule.steps:
        if step.action == "kill":
            assert state[step.place] != "out"
            state[step.place] = "out"
        elif step.place >= 0:
            before, after = wanted[step.action]
            assert state[step.place] == before
            state[step.place] = after
    actions = Counter(step.action for step in schedule.steps)
    assert actions["publish"] == SLICES
    applied = [step.detail for step in schedule.steps if step.action == "apply"]
    assert all(before != after for before, after in pairwise(applied))
    assert not applied or (schedule.steps[0].action, applied[0]) == ("apply", 0)


def test_schedules_leave_room_for_the_end_within_half_a_minute():
    assert max(draw_schedule(seed).longest_ms for seed in SEEDS) <= 24_000


def test_most_of_what_ends_or_freezes_workers_meets_them_at_work():
    steps = [step for seed in SEEDS for step in draw_schedule(seed).steps]
    ends = [step.at_work for step in steps if step.action in ("kill", "terminate", "freeze")]
    assert 0.55 < sum(ends) / len(ends) < 0.9
    assert not any(step.at_work for step in steps if step.action in ("publish", "join", "thaw"))


def test_everything_is_done_by_some_schedule_and_sessions_are_lost():
    steps = [step for seed in SEEDS for step in draw_schedule(seed).steps]
    often = Counter(step.action for step in steps)
    assert len(often) == 10
    assert min(often.values()) > 20
    frozen = [step.detail for step in steps if step.action == "freeze"]
    assert sum(lasts > SESSION_S * 1000 for lasts in frozen) > len(frozen) / 2
