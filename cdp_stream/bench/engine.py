"""`cdp bench engine`: decode, apply, evaluate; no Kafka, no disk."""

from __future__ import annotations

import gc
import time

from cdp_stream.bench import reference_load
from cdp_stream.bench.measure import Result, result
from cdp_stream.core.model.change import Change
from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_text
from cdp_stream.offline.replay import Replay

CPU_BUDGET_US = 8.0


def run(
    events: int,
    runs: int,
    profiles: int = reference_load.PROFILES,
    audiences: int = 100,
    *,
    sdk: bool = False,
) -> list[Result]:
    """Measure the engine on the reference load.

    Args:
        events: measured events of each run; the rows are warmed up once before.
        runs: the median of so many is the figure.
        profiles: whose events they are.
        audiences: how many are defined.
        sdk: batches as mParticle's SDKs write them; their figures have no budget.
    """
    account = load_text(reference_load.definitions(audiences)).account
    if account is None:
        raise AssertionError("the reference definitions are valid")
    replay = Replay(build_plan(account))
    changes: list[Change] = []
    for _mpid, batch in reference_load.warm_up(profiles, sdk=sdk):
        replay.feed(batch, changes)
        changes.clear()
    cpu_us: list[float] = []
    rates: list[float] = []
    flips: list[float] = []
    for number in range(runs):
        measured = reference_load.stream(events, profiles, first=number * events, sdk=sdk)
        load = [batch for _mpid, batch in measured]
        # What lives on is not looked at again by the collector, as in a worker that has been up for
        # a while.
        gc.collect()
        gc.freeze()
        changed = 0
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        for batch in load:
            replay.feed(batch, changes)
            if changes:
                changed += len(changes)
                changes.clear()
        cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
        cpu_us.append(cpu / 1000 / events)
        rates.append(events / wall * 1e9)
        flips.append(changed / events)
    name = "engine, batches of SDKs" if sdk else "engine"
    return [
        result(f"{name}: CPU per event", cpu_us, "us", None if sdk else CPU_BUDGET_US),
        result(f"{name}: events per second", rates, "1/s"),
        result(f"{name}: changes per event", flips, "1"),
    ]
