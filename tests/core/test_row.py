"""One profile's state: what it remembers, and how much it may take."""

import tracemalloc
from random import Random
from struct import Struct

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.model.row import (
    FOREVER,
    NEVER,
    SIZE_LIMIT,
    Row,
    Space,
    measure,
    memory_of,
    remember,
    size_of,
)
from cdp_stream.formats.rows import decode_row, encode_row

AT = 1_700_000_000_000
DAY = 86_400_000


def test_a_new_row_has_no_history():
    row = Row(7)
    assert (row.mpid, row.clock, row.due, row.position, row.ordinal) == (7, NEVER, FOREVER, -1, 0)
    assert (row.identities, row.spaces, row.slots, row.members) == ({}, {}, {}, {})


def test_a_cleared_row_keeps_only_its_position():
    row = Row(7)
    row.position, row.clock, row.ordinal, row.due, row.weight = 9, AT, 3, AT, 5_000
    row.members["x"] = AT
    row.clear()
    assert row.position == 9
    row.position = -1
    assert encode_row(row) == encode_row(Row(7))


def test_an_id_is_remembered_once():
    ids = bytearray()
    assert remember(ids, 5, AT)
    assert not remember(ids, 5, AT + 1)
    assert remember(ids, -6, AT + 1)
    assert ids == Struct("<qqqq").pack(5, AT, -6, AT + 1)


def test_an_arrival_that_equals_a_digest_is_no_sighting():
    ids = bytearray()
    assert remember(ids, 5, AT)
    assert remember(ids, AT, AT)


def test_a_digest_that_lies_across_two_others_is_no_sighting():
    ids = bytearray(Struct("<qq").pack(0x0102030405060708, AT))
    across = int.from_bytes(ids[4:12], "little", signed=True)
    assert remember(ids, across, AT)


def test_an_id_is_remembered_for_24_hours_of_arrival():
    ids = bytearray()
    remember(ids, 5, AT)
    remember(ids, 6, AT + 1)
    assert not remember(ids, 5, AT + DAY)
    assert remember(ids, 5, AT + DAY + 1)
    assert not remember(ids, 6, AT + DAY + 1)
    assert remember(ids, 7, AT + 3 * DAY)
    assert ids == Struct("<qq").pack(7, AT + 3 * DAY)


def test_the_last_thousand_ids_are_remembered():
    ids = bytearray()
    for digest in range(1_000):
        assert remember(ids, digest, AT)
    assert not remember(ids, 0, AT)
    assert remember(ids, 1_000, AT)
    assert not remember(ids, 1, AT)
    assert remember(ids, 0, AT)
    assert len(ids) == 16_000


@pytest.mark.parametrize(
    "value", [None, True, 1, -1.5e300, "", 'a"b\\c', "\x00\x1f\x7f", "ß€𝄞", ["x", None, "\n"], []]
)
def test_the_size_of_a_value_is_at_least_its_json(value):
    assert size_of(value) >= len(orjson.dumps(value)) + 1


VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5)
TIMES = st.integers(0, 253_402_300_799_999)


@given(
    attributes=st.dictionaries(st.text(max_size=5), VALUES | st.lists(VALUES, max_size=3)),
    identities=st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
    slots=st.dictionaries(
        st.text("abc_-", min_size=8, max_size=8),
        TIMES | st.lists(TIMES, min_size=1, max_size=4),
    ),
    members=st.dictionaries(st.text("abc/", min_size=1, max_size=9), TIMES),
    ids=st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), TIMES), max_size=4),
)
def test_a_row_takes_no_more_than_it_measures(attributes, identities, slots, members, ids):
    row = Row(1)
    row.spaces["travel"] = Space(AT, AT, attributes)
    row.identities, row.slots, row.members = identities, slots, members
    for digest, arrival in ids:
        remember(row.event_ids, digest, arrival)
    assert len(encode_row(row)) <= measure(row)


def filled(mpid, fill):
    row = Row(mpid)
    row.clock, row.spaces["travel"] = AT + mpid, Space(AT, AT + mpid, {})
    fill(row, row.spaces["travel"].attributes)
    return row


def times(row, _attributes):
    row.slots |= {f"slot {n}": [AT + row.mpid + time for time in range(300)] for n in range(5)}


def single_times(row, _attributes):
    row.slots |= {f"slot {n}": AT + row.mpid + n for n in range(20)}
    row.members |= {f"audience {n}": AT + row.mpid + n for n in range(8)}


def texts(row, attributes):
    attributes |= {f"{n}": f"{row.mpid}-{n}" for n in range(200)}


def wide_texts(row, attributes):
    attributes |= {f"{n}": f"{row.mpid}" + "\u20ac" * 300 for n in range(20)}


def lists(row, attributes):
    attributes["list"] = [f"{row.mpid}{n}" for n in range(800)]


def counts(row, _attributes):
    row.slots["counts"] = {f"{row.mpid}{n}": [AT + n, n] for n in range(300)}


@pytest.mark.parametrize("fill", [times, single_times, texts, wide_texts, lists, counts])
def test_what_a_decoded_row_takes_is_known_without_looking_at_each_object(fill):
    written = [(mpid, encode_row(filled(mpid, fill))) for mpid in range(100)]
    tracemalloc.start()
    try:
        rows = [decode_row(mpid, value) for mpid, value in written]
        taken, _most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.9 * taken < sum(map(memory_of, rows)) < 2 * taken


def test_a_row_has_room_up_to_512_kib():
    row = Row(1)
    row.weight = SIZE_LIMIT - 10
    assert row.has_room(10)
    assert row.weight == SIZE_LIMIT - 10


def test_before_it_is_called_full_a_row_is_measured():
    row = Row(1)
    row.weight = SIZE_LIMIT
    assert row.has_room(10)
    assert row.weight == measure(row) < 200
    row.spaces["travel"] = Space(AT, AT, {"notes": "x" * SIZE_LIMIT})
    row.weight = SIZE_LIMIT
    assert not row.has_room(10)
    assert row.weight > SIZE_LIMIT


def test_a_search_among_many_ids_finds_the_last_as_the_first():
    digests = [Random(seed).getrandbits(63) for seed in range(900)]
    ids = bytearray()
    assert all(remember(ids, digest, AT) for digest in digests)
    assert not any(remember(ids, digest, AT) for digest in digests)
