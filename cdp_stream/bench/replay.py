"""`cdp bench replay`: `cdp replay` as a user runs it, files and all."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cdp_stream.bench import reference_load
from cdp_stream.bench.measure import Result, result
from cdp_stream.errors import OutsideError

RATE_BUDGET = 60_000.0


def run(events: int, runs: int, profiles: int) -> list[Result]:
    """Measure whole runs over a warm-up and `events` more events.

    Raises:
        OutsideError: the command failed.
    """
    rates: list[float] = []
    with tempfile.TemporaryDirectory(prefix="cdp-bench-") as folder:
        definitions, batches = Path(folder, "definitions.yaml"), Path(folder, "batches.ndjson")
        definitions.write_text(reference_load.definitions(), encoding="utf-8")
        total = 0
        with batches.open("wb") as file:
            for load in (reference_load.warm_up(profiles), reference_load.stream(events, profiles)):
                for _mpid, batch in load:
                    file.write(batch + b"\n")
                    total += 1
        command = [sys.executable, "-m", "cdp_stream", "replay", "--definitions", str(definitions)]
        command += ["--events", str(batches), "--out", os.devnull]
        for _ in range(runs):
            started = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise OutsideError(
                    f"cdp replay failed: {done.stderr.strip()}", "run the command by itself"
                )
            rates.append(total / (time.perf_counter() - started))
    return [result("replay: events per second", rates, "1/s", RATE_BUDGET, at_least=True)]
