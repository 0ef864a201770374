"""Where profiles are placed, and what becomes of records that are elsewhere."""

from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.placement import hash_of, placed_in
from cdp_stream.partition.processor import ProfileProcessor
from tests.partition.records import Sent, T, deliver, ids, plan, sent

PARTITIONS = 4
PLACE = {1: 3, 2: 0, 4: 1, 5: 2}
"""Of some profiles, as Kafka's clients place them."""


def processor(rows, partition, partitions=PARTITIONS):
    made = ProfileProcessor(
        Definitions("1", 0, plan().account), "cdp.events", partition, partitions=partitions
    )
    made.restore(rows)
    return made


@given(st.binary(max_size=40) | st.integers(-(2**63), 2**63 - 1).map(lambda mpid: b"%d" % mpid))
def test_a_hash_is_that_of_kafkas_clients(key):
    assert hash_of(key) == murmur2(key) & 0x7FFFFFFF


def test_profiles_are_placed_as_kafka_places_them():
    assert {mpid: hash_of(b"%d" % mpid) % PARTITIONS for mpid in PLACE} == PLACE
    assert all(placed_in(place, PARTITIONS)(mpid) for mpid, place in PLACE.items())


def test_a_record_in_another_partition_than_its_profiles_is_rejected_whole():
    rows = {}
    made = processor(rows, PLACE[1])
    misplaced = sent(1, 2, 10, "play")
    with_a_bad_event = sent(2, 2, 20, "play", events=[5])
    effects = made.apply([sent(0, 1, 0, "play"), misplaced, with_a_bad_event])
    deliver(rows, effects)
    assert [change.split(":")[1] for change in ids(effects)] == ["1", "1"]
    assert [(key, value) for key, value, _headers in effects.rejected] == [
        (b"2", misplaced.value),
        (b"2", with_a_bad_event.value),
    ]
    for _key, _value, headers in effects.rejected:
        assert dict(headers)["reason"] == b"wrong_partition"
        assert dict(headers)["detail"] == (
            b"key: expected in partition 0 of 4, where murmur2 puts it, found in 3"
        )
    # It moves no time and leaves nothing, and a restart changes nothing.
    assert made.time == T
    assert b"2" not in rows
    again = processor(rows, PLACE[1])
    assert again.apply([sent(3, 2, 30, "play")]).rejected
    assert not again.apply([sent(4, 1, 40, "play")]).rejected


def test_an_erasure_in_another_partition_is_rejected():
    made = processor({}, PLACE[1])
    effects = made.apply([Sent(b"2", b"", (("erase", b""),), T, 0)])
    assert [dict(headers)["reason"] for _, _, headers in effects.rejected] == [b"wrong_partition"]
    assert made.time == -1


def test_rows_of_misplaced_profiles_end_in_time_and_take_no_records():
    """An earlier release did not look where a record was."""
    rows = {}
    before = processor(rows, PLACE[1], partitions=None)
    deliver(rows, before.apply([sent(0, 2, 0, "play"), sent(1, 2, 1, "play")]))
    made = processor(rows, PLACE[1])
    rejected = made.apply([sent(2, 2, 10, "play")])
    deliver(rows, rejected)
    assert [dict(headers)["reason"] for _, _, headers in rejected.rejected] == [b"wrong_partition"]
    ended = []
    while (due := made.next_due()) is not None:
        effects = made.tick(due, 1)
        deliver(rows, effects)
        ended += ids(effects)
        # Woken, it still takes no record.
        assert made.apply([sent(3 + len(ended), 2, 20, "play")]).rejected
    assert {change.split()[0] for change in ended} == {"delete"}
    assert b"2" not in rows
