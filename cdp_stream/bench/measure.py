"""Runs of a benchmark, their median, and the machine they ran on."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Result:
    """One measured figure.

    Attributes:
        value: the median of the runs.
        unit: of value and budget.
        budget: what it should keep to; None where the specification names none.
        holds: whether it does; None without a budget.
        runs: each run's own figure.
    """

    name: str
    value: float
    unit: str
    budget: float | None
    holds: bool | None
    runs: tuple[float, ...]


def result(
    name: str, runs: list[float], unit: str, budget: float | None = None, *, at_least: bool = False
) -> Result:
    """The median of runs against a budget, which is the most (or, with `at_least`, the least) it
    should be.
    """
    value = median(runs)
    holds = None if budget is None else (value >= budget if at_least else value <= budget)
    return Result(name, round(value, 3), unit, budget, holds, tuple(round(run, 3) for run in runs))


def machine() -> dict[str, Any]:
    """The machine's size, without which a figure means nothing."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_1m": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def as_json(results: list[Result]) -> dict[str, Any]:
    """The object of `cdp bench --json`."""
    return {"machine": machine(), "results": [asdict(entry) for entry in results]}


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
