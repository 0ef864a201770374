"""What the engine emits of a stream with erasures."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import Any

from cdp_stream.core.engine.evaluation import Engine
from cdp_stream.core.model.change import Change
from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_text
from cdp_stream.offline.replay import Replay


def run(text: str, stream: list[Any], until: int | None, erasures: Any) -> list[Change]:
    """What the engine emits, in the order of a replay."""
    account = load_text(text).account
    assert account is not None
    plan = build_plan(account)
    replay, engine = Replay(plan, until=until), Engine(plan)
    changes: list[Change] = []
    waiting = list(erasures)
    for place in range(len(stream) + 1):
        while waiting and waiting[0][0] == place:
            _place, mpid, at = waiting.pop(0)
            if mpid in replay.rows:
                engine.erase(replay.rows[mpid], at, changes)
        if place < len(stream):
            replay.feed(json.dumps(stream[place], ensure_ascii=False).encode(), changes)
    replay.finish(changes.extend)
    return sorted(changes, key=attrgetter("effective_at", "mpid", "ordinal"))
