"""A call ends early when what it made, or loaded, takes much: slices are bounded in bytes."""

from __future__ import annotations

from dataclasses import replace

from cdp_stream.core.model.connection import Connection, Output
from cdp_stream.core.model.definition import Account
from cdp_stream.formats.rows import PartitionState, encode_partition
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import META_ROW
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.partition.processor import ProfileProcessor
from tests.core.accounts import DAY, SHORT, audience, has
from tests.partition.filling import filling
from tests.partition.records import Rows, Sent, T, deliver, marker, plan, sent

FULL = 400_000
"""Bytes of the attributes of a profile that is nearly full."""
PROFILES = 40


def apply_all(made: ProfileProcessor, rows: Rows, records: list[Sent]) -> list[int]:
    """Apply records, slice by slice; returns how many bytes each slice gave."""
    sizes = []
    while records:
        effects = made.apply(records)
        assert made.position >= records[0].offset
        records = [record for record in records if record.offset > made.position]
        sizes.append(effects.size)
        deliver(rows, effects)
    return sizes


def full(
    rows: Rows, definitions: Definitions, budget: MemoryBudget | None = None
) -> ProfileProcessor:
    """A processor whose profiles are all full."""
    made = ProfileProcessor(definitions, "cdp.events", 0, budget)
    made.restore(rows)
    if not rows:
        deliver(rows, made.rollout.switch(definitions))
        for mpid in range(PROFILES):
            apply_all(made, rows, filling(4 * mpid, mpid))
    return made


def version(number: int, *audiences) -> Definitions:
    account = plan().account
    home = replace(SHORT, lifetime_ms=30 * DAY)
    return Definitions(
        str(number), number, Account("acme", (home,), (*account.audiences, *audiences))
    )


def test_tiny_events_on_full_profiles_are_a_few_in_a_slice_and_none_is_lost():
    rows: Rows = {}
    made = full(rows, version(1))
    tiny = [sent(1_000 + mpid, mpid, 1, "buy") for mpid in range(PROFILES)]
    sizes = apply_all(made, rows, tiny)
    assert made.position == tiny[-1].offset
    assert sum(sizes) > PROFILES * FULL
    assert max(sizes) < 3_000_000
    whole: Rows = {}
    other = full(whole, version(1))
    for record in tiny:
        deliver(whole, other.apply([record]))
    assert rows == whole


def test_records_that_change_nothing_end_a_slice_too_by_the_rows_that_they_load():
    rows: Rows = {}
    made = full(rows, version(1))
    before = [sent(4 * mpid, mpid, 0, "play") for mpid in range(PROFILES)]
    rows[META_ROW] = encode_partition(PartitionState(T, -1))
    again = full(rows, version(1), MemoryBudget(1))
    slices = 0
    while before:
        effects = again.apply(before)
        assert list(effects.rows) == [b"~partition"]
        before = [record for record in before if record.offset > again.position]
        slices += 1
    assert made.position > again.position
    # Each loads 0.8 MB, its attributes and what is kept of them encoded.
    assert slices == 2


def test_few_full_profiles_are_woken_at_a_time_and_the_others_are_not_forgotten():
    rows: Rows = {}
    made = full(rows, version(1))
    sizes = []
    while True:
        effects = made.tick(T + 4 * DAY, 500)
        sizes.append(effects.size)
        deliver(rows, effects)
        if not effects.more:
            break
    assert len(sizes) >= 7
    assert max(sizes) < 3_000_000
    assert made.next_due() > T + 4 * DAY


def test_messages_end_a_slice_though_they_are_all_of_one_profile():
    rows: Rows = {}
    shared = tuple(f"0-{number}" for number in range(25))
    told = Connection("played@mail", "played", "mail", user_attributes=(*shared, "tier"))
    account = replace(version(1).account, outputs=(Output("mail", "webhook"),), connections=(told,))
    made = ProfileProcessor(Definitions("1", 0, account), "cdp.events", 0)
    made.restore(rows)
    deliver(rows, made.rollout.switch(Definitions("1", 0, account)))
    apply_all(made, rows, [sent(0, 7, 0, "play", user_identities={"email": "a@b.c"})])
    apply_all(
        made, rows, [replaced._replace(offset=1 + n) for n, replaced in enumerate(filling(0, 7))]
    )
    # Each updates all of them, 100 KB.
    updates = [sent(10 + n, 7, 1 + n, user_attributes={"tier": n}) for n in range(PROFILES)]
    sizes = apply_all(made, rows, updates)
    assert sum(sizes) > 4_000_000
    assert max(sizes) < 3_000_000


def test_few_profiles_are_erased_at_a_time():
    rows: Rows = {}
    made = full(rows, version(1))
    asked = [Sent(b"%d" % n, b"", (("erase", b""),), T + 1, 1_000 + n) for n in range(PROFILES)]
    assert len(apply_all(made, rows, asked)) == 3


def test_instants_that_became_later_end_a_slice_too_by_the_rows_that_they_load():
    rows: Rows = {}
    made = full(rows, version(1), MemoryBudget(1))
    # As time has moved on, records wake them before they are due: their instants become later.
    now = 3 * DAY + 1
    plays = [sent(1_000 + mpid, mpid, now, "play") for mpid in range(PROFILES)]
    apply_all(made, rows, [marker(999, now), *plays])
    more = []
    while not more or more[-1]:
        effects = made.tick(T + now, 500)
        assert list(effects.rows) == [META_ROW]
        more.append(effects.more)
    # Each loads 0.8 MB.
    assert len(more) == 2


def test_few_full_rows_are_brought_under_other_definitions_at_a_time():
    rows: Rows = {}
    first = version(1)
    made = full(rows, first)
    second = version(2, audience("big", has("0-1", "exists", True, "short"), workspace="short"))
    deliver(rows, made.rollout.switch(second))
    sizes, told = [], 0
    while made.rollout.rows_to_migrate():
        effects = made.rollout.migrate(1_000)
        told += len(effects.memberships)
        sizes.append(effects.size)
        deliver(rows, effects)
    assert told == PROFILES
    assert max(sizes) < 3_000_000


def test_rows_are_evicted_at_the_end_of_the_call_that_loaded_them():
    rows: Rows = {}
    made = full(rows, version(1), budget := MemoryBudget(2_000_000))
    assert made._profiles.decoded.used <= budget.share()
    budget.size = 5_000_000
    apply_all(made, rows, [sent(1_000 + mpid, mpid, 1, "buy") for mpid in range(PROFILES)])
    assert 3_000_000 < made._profiles.decoded.used <= budget.share()
