"""A stream that has everything, and what `cdp replay` says of it."""

import json
from collections import Counter
from pathlib import Path

from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_files
from cdp_stream.offline.generate import Shape, generate
from cdp_stream.offline.replay import Replay
from cdp_stream.offline.spill import SpillingSorter

EVERYTHING = Path(__file__).parent / "everything.yaml"
FIRST = EVERYTHING.read_text()
KEPT = """\
  - {id: k1, status: draft, criteria: {event: play video, count: {at_least: 3}, when: {last: 3d}}}
  - id: k2
    status: draft
    criteria:
      {commerce: purchase, where: [{field: total_amount, at_least: 100}], when: {last: 2d}}
  - {id: k3, status: draft, criteria: {event: play video, count: {at_least: 2}, when: {last: 3d}}}
journeys:
"""
FIRST = FIRST.replace("journeys:\n", KEPT)
"""What reads events in any version is in all of them, so no history is missing."""

EDITS = {
    "{id: watchers, criteria: {event: play video, count: {at_least: 2}":
        "{id: watchers, criteria: {event: play video, count: {at_least: 3}",
    "{id: idea, status: draft,": "{id: idea,",
    "{id: spenders, external_name: Big Spenders, ": "{id: big, ",
    "{id: premium, criteria: {user_attribute: status, equals: Premium}}":
        "{id: premium, criteria: {not: {user_attribute: status, equals: Premium}}}",
    "{id: quiet, ": "{id: quiet, ab_test: {variants: [{percent: 50}]}, ",
}  # fmt: skip
SECOND = FIRST
for old, new in EDITS.items():
    assert old in SECOND
    SECOND = SECOND.replace(old, new)
BOUGHT = FIRST[FIRST.index("          - id: bought") : FIRST.index("          - id: carted")]
CARTED = FIRST[FIRST.index("          - id: carted") : FIRST.index("          - {id: rest")]
THIRD = FIRST.replace(BOUGHT + CARTED, CARTED + BOUGHT).replace(
    "{id: watchers, ", "{id: watchers, ab_test: {variants: [{percent: 30}, {percent: 30}]}, "
)


def generated(events: int, seed: int) -> tuple[list[bytes], int]:
    """Batches in time order, and an instant a day after the last."""
    shape = Shape(profiles=400, events=events, days=30, seed=seed, duplicates=0.03)
    lines = [line.rstrip(b"\n") for line in generate(shape)]
    return lines, json.loads(lines[-1])["timestamp_unixtime_ms"] + 86_400_000


def replayed(definitions: Path, lines: list[bytes], until: int | None) -> list[bytes]:
    """The changes that `cdp replay` prints."""
    account = load_files([str(definitions)]).account
    assert account is not None
    with SpillingSorter() as sorter:
        Replay(build_plan(account), until=until).run(lines, sorter)
        return [record.value for record in sorter]


def in_replay_order(messages: Counter[bytes]) -> list[bytes]:
    """Published changes, each once, in the order in which `cdp replay` prints them."""

    def place(value: bytes) -> tuple[int, int, int]:
        message = json.loads(value)
        return message["effective_at"], int(message["mpid"]), message["ordinal"]

    return sorted(messages, key=place)


def final_state(changes: list[bytes]) -> dict[str, bytes]:
    """The memberships that changes lead to."""
    state = {}
    for value in changes:
        message = json.loads(value)
        state[f"{message['audience_id']}:{message['mpid']}"] = (
            value if message["action"] == "add" else None
        )
    return {key: value for key, value in state.items() if value is not None}
