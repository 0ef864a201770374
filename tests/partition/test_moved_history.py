"""Where the history of moved profiles is sought, and that what is read there is all of it, once.

The last is shown on a long stream: `tests/properties/test_moved_history.py` has any criteria, but
short streams.
"""

from array import array
from dataclasses import replace
from random import Random

import pytest

from cdp_stream.core.model.windows import Window
from cdp_stream.formats.backfill_rows import OPEN, Source, decode_backfill, encode_backfill
from cdp_stream.formats.moved_row import Move
from cdp_stream.kafka.produce import Routing
from cdp_stream.offline.replay import Replay
from cdp_stream.partition.backfill import Backfill
from cdp_stream.partition.placement import Placement
from cdp_stream.partition.sources import JoinedLog, reaches_over_unknown, sources_of
from tests.core.accounts import DAY
from tests.partition.backfilled import HOME, RED, counted, version
from tests.partition.records import T, sent
from tests.properties.moved_system import System, catch_up
from tests.properties.partitions import compare, members, profiles

FIRST = Move(100, 2, 3, (10, 20), (12, 20))
SECOND = Move(200, 3, 4, (15, 26, 7), (15, 26, 8))


def test_a_partition_that_nothing_was_moved_to_reads_its_own_log():
    assert sources_of((), 3) == (Source(3, 0),)
    assert JoinedLog(sources_of((), 3)).live(17) == 17


def test_sources_are_what_was_applied_between_moves_and_at_last_the_own_log():
    assert sources_of((FIRST,), 1) == (
        Source(0, 0, 10, 2, -1), Source(1, 0, 20, 2, -1), Source(1, 20, OPEN, 3, 100),
    )  # fmt: skip
    assert sources_of((FIRST, SECOND), 3) == (
        # Who is in 3 of 4 was in 1 of 2.
        Source(1, 0, 20, 2, -1),
        Source(0, 12, 15, 3, 100), Source(1, 20, 26, 3, 100), Source(2, 0, 7, 3, 100),
        Source(3, 0, OPEN, 4, 200),
    )  # fmt: skip
    assert sources_of((FIRST, SECOND), 2)[-1] == Source(2, 8, OPEN, 4, 200)


def test_history_before_an_unknown_move_is_read_from_where_the_next_move_began():
    unknown = Move(50)
    assert sources_of((unknown,), 2) == (Source(2, 0),)
    assert sources_of((unknown, FIRST), 1) == sources_of((FIRST,), 1)
    assert sources_of((FIRST, unknown), 1) == (Source(1, 0),)
    assert not reaches_over_unknown((FIRST, SECOND), None)
    for moves in ((unknown,), (unknown, FIRST)):
        asked = [reaches_over_unknown(moves, since) for since in (None, 0, 50, 51)]
        assert asked == [True, True, True, False]


def test_offsets_increase_throughout_whatever_those_of_the_log_do():
    history = JoinedLog(sources_of((FIRST, SECOND), 3))
    assert [history.begin(index) for index in range(5)] == [0, 20, 23, 29, 36]
    assert [history.index(offset) for offset in (0, 19, 20, 22, 23, 35, 36, 999)] == [
        0, 0, 1, 1, 2, 3, 4, 4,
    ]  # fmt: skip
    assert [offset + history.shift(1) for offset in (12, 14)] == [20, 22]
    assert [history.live(applied) for applied in (-1, 0, 5)] == [35, 36, 41]
    assert JoinedLog(sources_of((FIRST,), 0)).live(11) == 29


def test_time_begins_anew_with_each_source():
    history = JoinedLog(sources_of((FIRST, SECOND), 3))
    assert history.time_before(19, 18, 77) == 77
    assert history.time_before(20, 19, 77) == 100
    # The rest of a source may hold nothing to read.
    assert history.time_before(23, 17, 150) == 100
    assert history.time_before(36, 35, 150) == 200
    assert history.time_before(0, -1, -1) == -1


@pytest.mark.parametrize("sources", [(), sources_of((FIRST, SECOND), 3)])
def test_what_is_read_is_kept_with_how_far_it_is(sources):
    system = System(version(1, RED), version(2, RED, TWICE), partitions=1, rows_kept=10)
    system.switch(version(2, RED, TWICE))
    (part,) = system.parts
    backfill = part.processor.rollout.backfill
    part.write(backfill.begin(0, log_is_shorter=False, sources=sources))
    value = encode_backfill(backfill.state)
    assert value[1] == (2 if sources else 1)
    assert decode_backfill(value) == backfill.state
    assert decode_backfill(value).sources == sources
    part.crash()
    assert part.processor.rollout.backfill.history.sources == (sources or (Source(0, 0),))


HOME_TWENTY = replace(HOME, lifetime_ms=20 * DAY)
TWICE = counted("twice", 2)
EXACT = [counted(f"play-{n}", n, window=Window()) for n in range(1, 80)]
"""By these it shows exactly how often."""
BOUGHT = [counted(f"buy-{n}", n, "buy", Window(oldest=30 * DAY)) for n in range(1, 10)]


ERASED = 0.03


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("is_in_order", [True, False])
def test_over_moves_and_crashes_history_is_that_of_a_replay(seed, is_in_order):
    """Events have no ids, so that one read twice counts twice."""
    chance = Random(seed)
    records = stream(chance, 400, is_in_order=is_in_order)
    before = version(1, RED, home=HOME_TWENTY)
    after = version(2, RED, TWICE, *EXACT, *BOUGHT, home=HOME_TWENTY)
    counts = sorted(chance.sample(range(1, 8), 4))
    whole = System(after, partitions=counts[0], rows_kept=100)
    found = System(before, after, partitions=counts[0], rows_kept=chance.choice([2, 100]))
    rest = list(records)
    for count in counts[1:]:
        taken = chance.randint(50, 110)
        late = chance.randint(0, 12)
        for system in (whole, found):
            for record in rest[:taken]:
                system.live(record)
            system.move(count, rest[taken : taken + late])
        del rest[: taken + late]
    found.switch(after)
    catch_up(chance, found, whole, rest)
    end = found.pass_time()
    assert whole.pass_time() == end
    compare(after.plan, found.rows, whole.rows, end)
    compare(after.plan, found.rows, whole.rows, end + 3 * DAY)
    if is_in_order:
        replay = Replay(after.plan, until=end)
        for record in records:
            replay.feed(record.value, [])
        replay.finish(lambda _changes: None)
        assert members(profiles(found.rows, after.plan, end)) == members(replay.rows)
        assert any({"play-20", "buy-5"} <= set(row.members) for row in replay.rows.values())


def stream(chance, count, *, is_in_order):
    """Batches over three months of profiles that come often, and of others that come and go."""
    made, at = [], 0
    for number in range(count):
        at += chance.randint(0, DAY // 2)
        arrived = at if is_in_order else max(0, at - chance.randint(0, 8 * DAY))
        mpid = int(30 * chance.random() ** 3)
        names = chance.choices(["play", "buy"], k=chance.randint(1, 2))
        record = sent(number, mpid, arrived, *names)
        if not is_in_order and chance.random() < ERASED:  # a replay knows of no erasures
            record = record._replace(value=None, headers=(("erase", b""),))
        made.append(record)
    return made


def test_other_profiles_of_a_source_only_tell_the_time():
    definitions = version(2, RED, TWICE)
    backfill = Backfill(definitions.account, definitions.plan.memories)
    backfill.restore({}, array("q"), None)
    backfill.begin(0, log_is_shorter=False, sources=(Source(0, 5, 9, 2), Source(1, 0, OPEN, 4, 7)))
    erased = sent(6, 8, 0)._replace(value=None, headers=(("erase", b""),), timestamp=T + 3)
    records = [sent(5, 7, 1, "play"), erased, sent(7, 9, 2, "play", "play")]
    assert backfill.apply(records, 2, shift=-5, is_here={7}.__contains__) == 1
    assert (backfill.unsaved_rows, backfill.state.time) == (1, T + 3)
    assert backfill.apply([], 3, shift=-5) == 0
    assert backfill.state.time == 7


def test_a_record_is_here_that_was_there_and_would_be_here_now():
    source, own = Source(1, 0, 9, 3), Source(4, 0, OPEN, 5)
    is_here = Placement().here(source, own)
    of_three, of_five = Routing(3), Routing(5)
    for mpid in (*range(-50, 50), *range(-50, 0)):
        key = b"%d" % mpid
        there = of_three.partition_of(key) == 1
        assert is_here(mpid) == (there and of_five.partition_of(key) == 4)
    assert Placement().here(own, own) is None
