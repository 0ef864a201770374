"""`cdp bench` as a whole: every benchmark after the other, at full size or a part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cdp_stream.bench import backfill, check, due, engine, memory, outputs, recovery, replay, worker
from cdp_stream.bench.measure import Result
from cdp_stream.bench.reference_load import PROFILES

Benchmark = Callable[[float, str | None], list[Result]]
"""Measures at a part of the full size, on a broker (None: Apache Kafka from its jars)."""


def _of(full: int, scale: float, least: int) -> int:
    return max(least, round(full * scale))


def _engine(scale: float, _broker: str | None) -> list[Result]:
    events, profiles = _of(200_000, scale, 1_000), _of(PROFILES, scale, 100)
    return engine.run(events, 3, profiles)


def _engine_sdk(scale: float, _broker: str | None) -> list[Result]:
    events, profiles = _of(200_000, scale, 1_000), _of(PROFILES, scale, 100)
    return engine.run(events, 3, profiles, sdk=True)


def _many_audiences(scale: float, _broker: str | None) -> list[Result]:
    events, profiles = _of(200_000, scale, 1_000), _of(PROFILES, scale, 100)
    return engine.run(events, 3, profiles, _of(10_000, scale, 200))


def _check(scale: float, _broker: str | None) -> list[Result]:
    return check.run(_of(1_000, scale, 10), 3)


def _replay(scale: float, _broker: str | None) -> list[Result]:
    return replay.run(_of(300_000, scale, 1_000), 3, _of(PROFILES, scale, 100))


def _worker(scale: float, broker: str | None) -> list[Result]:
    full = worker.Load()
    events, profiles = _of(full.events, scale, 20_000), _of(PROFILES, scale, 1_000)
    return worker.run(worker.smaller(full, events, None, profiles, "both"), broker)


def _recovery(scale: float, broker: str | None) -> list[Result]:
    return recovery.run(_of(recovery.ROWS, scale, 1_000), 3, broker)


def _due(scale: float, broker: str | None) -> list[Result]:
    return due.run(_of(due.PROFILES, scale, 1_000), broker)


def _memory(scale: float, broker: str | None) -> list[Result]:
    return memory.run(_of(memory.PROFILES, scale, 100), broker)


def _outputs(scale: float, broker: str | None) -> list[Result]:
    full = outputs.Load()
    changes, events = _of(full.changes, scale, 20_000), _of(full.events, scale, 20_000)
    return outputs.run(outputs.Load(changes, events), broker)


def _backfill(scale: float, broker: str | None) -> list[Result]:
    events, profiles = _of(backfill.EVENTS, scale, 100_000), _of(PROFILES, scale, 1_000)
    return backfill.run(events, 1, profiles, broker)


ALL: Final[dict[str, Benchmark]] = {
    "engine": _engine,
    "engine with batches of SDKs": _engine_sdk,
    "engine with 10,000 audiences": _many_audiences,
    "check": _check,
    "replay": _replay,
    "worker": _worker,
    "recovery": _recovery,
    "due": _due,
    "memory": _memory,
    "outputs": _outputs,
    "backfill": _backfill,
}
"""Those without a broker first, the longest last."""
