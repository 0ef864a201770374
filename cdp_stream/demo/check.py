"""Compares the topics with `cdp replay` of the same input, record for record, all fields."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from cdp_stream.core.model.change import ADD
from cdp_stream.core.plan.plan import Plan
from cdp_stream.offline.replay import Replay
from cdp_stream.offline.spill import SpillingSorter

Messages = dict[bytes, list[bytes]]
"""Membership changes in order, by the key of their profile."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was in the topics of a run.

    Attributes:
        memberships: Every change, in the order of its partition, by record key.
        state: What the compacted topic holds in the end, tombstones left out.
        rejected: How many records were rejected.
    """

    memberships: Messages = field(default_factory=lambda: defaultdict(list))
    state: dict[bytes, bytes] = field(default_factory=dict)
    rejected: int = 0

    def take_changes(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Add records (key, value) of ``cdp.memberships``."""
        for key, value in records:
            self.memberships[key].append(value)

    def take_state(self, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Add records (key, value) of ``cdp.membership-state``."""
        for key, value in records:
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the comparison came out.

    Attributes:
        changes: How many membership changes the replay has.
        profiles: How many profiles have at least one.
        members: How many memberships hold in the end.
        repeated: Records that came again byte for byte, as at-least-once allows after a rebalance.
        difference: The first difference; None when all is equal.
    """

    changes: int
    profiles: int
    members: int
    repeated: int
    difference: str | None


def replayed(plan: Plan, batches: Iterable[bytes]) -> Messages:
    """What `cdp replay` prints for these batches, by profile, each profile's in order."""
    expected: Messages = defaultdict(list)
    with SpillingSorter() as sorter:
        Replay(plan).run(batches, sorter)
        for record in sorter:
            expected[b"%d" % record.mpid].append(record.value)
    return expected


def compare(found: Found, expected: Messages) -> Verdict:
    """Compare the topics of a run with the replay."""
    difference, repeated = None, 0
    for key in sorted(expected.keys() | found.memberships.keys(), key=int):
        unique = list(dict.fromkeys(found.memberships.get(key, ())))
        repeated += len(found.memberships.get(key, ())) - len(unique)
        difference = difference or _first_difference(key, unique, expected.get(key, []))
    state = _state_of(expected)
    difference = difference or _state_difference(found.state, state)
    if difference is None and found.rejected:
        difference = f"cdp.rejected contains {found.rejected} records, and every one was to be used"
    changes = sum(map(len, expected.values()))
    return Verdict(changes, len(expected), len(state), repeated, difference)


def _first_difference(key: bytes, found: Sequence[bytes], expected: Sequence[bytes]) -> str | None:
    for number in range(max(len(found), len(expected))):
        here = found[number] if number < len(found) else None
        there = expected[number] if number < len(expected) else None
        if here != there:
            return (
                f"profile {key.decode()}, change {number + 1}: cdp.memberships has {_shown(here)}, "
                f"cdp replay has {_shown(there)}"
            )
    return None


def _state_of(expected: Messages) -> dict[bytes, bytes]:
    state: dict[bytes, bytes] = {}
    for key, messages in expected.items():
        for message in messages:
            change = orjson.loads(message)
            state_key = change["audience_id"].encode() + b":" + key
            if change["action"] == ADD:
                state[state_key] = message
            else:
                del state[state_key]
    return state


def _state_difference(found: Mapping[bytes, bytes], expected: Mapping[bytes, bytes]) -> str | None:
    for key in sorted(found.keys() | expected.keys()):
        if found.get(key) != expected.get(key):
            return (
                f"cdp.membership-state, key {key.decode()}: it has {_shown(found.get(key))}, "
                f"after cdp replay it would have {_shown(expected.get(key))}"
            )
    return None


def _shown(message: bytes | None) -> str:
    return "nothing" if message is None else message.decode(errors="replace")
