"""`cdp bench check`: `cdp check`, warnings and all, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cdp_stream.bench.measure import Result, result
from cdp_stream.errors import OutsideError

BUDGET_S = 2.0
_NAMES = 60
_STATUSES = 40
_ASKED_TOGETHER = 3


def run(audiences: int, runs: int) -> list[Result]:
    """Measure whole runs over one file with so many audiences.

    Raises:
        OutsideError: the command failed.
    """
    seconds: list[float] = []
    with tempfile.TemporaryDirectory(prefix="cdp-bench-") as folder:
        file = Path(folder, "definitions.yaml")
        file.write_text(definitions(audiences), encoding="utf-8")
        command = [sys.executable, "-m", "cdp_stream", "check", "--json", str(file)]
        for _ in range(runs):
            started = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise OutsideError(
                    f"cdp check failed: {done.stderr.strip()}", "run the command by itself"
                )
            seconds.append(time.perf_counter() - started)
    return [result(f"check: seconds for {audiences:,} audiences", seconds, "s", BUDGET_S)]


def definitions(audiences: int) -> str:
    """Definitions with much in common: 60 event names and 40 values of an attribute,
    in windows, counts and combinations that nest.
    """
    return json.dumps(
        {
            "version": 1,
            "account": "bench",
            "workspaces": [
                {
                    "id": "shop",
                    "lookback": "90d",
                    "inputs": [
                        {"id": "web", "kind": "platform", "api_key": "web"},
                        {"id": "app", "kind": "platform", "api_key": "app"},
                    ],
                }
            ],
            "audiences": [
                {"id": f"audience-{place:05d}", "criteria": _criteria(place)}
                for place in range(audiences)
            ],
        },
        indent=1,
    )


def _criteria(place: int) -> dict[str, Any]:
    """A group of one to three criteria, at times with an exclusion."""
    parts = [_criterion(place * 7 + step * 13) for step in range(1 + place % _ASKED_TOGETHER)]
    group: dict[str, Any] = {"any" if place % 5 == 0 else "all": parts}
    if place % 4 == 0:
        group["exclude"] = [_criterion(place + 5)]
    return group


def _criterion(number: int) -> dict[str, Any]:
    if number % 6 == 0:
        return {"user_attribute": "status", "equals": f"status {number % _STATUSES}"}
    if number % 11 == 0:
        return {"user_attribute": "spent", "greater_than": number % 500}
    criterion: dict[str, Any] = {
        "event": f"Event {number % _NAMES}",
        "when": {"last": f"{1 + number % 28}d"},
        "count": {"at_least": 1 + number % 4},
    }
    if number % 3 == 0:
        criterion["where"] = [{"attribute": "category", "equals": f"category {number % 17}"}]
    if number % 8 == 0:
        criterion["inputs"] = ["web"]
    return criterion
