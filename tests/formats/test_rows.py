"""A row as bytes and back."""

from struct import Struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.model.row import FOREVER, NEVER, Row, Space
from cdp_stream.errors import OutsideError
from cdp_stream.formats.rows import (
    PARTITION_KEY,
    PartitionState,
    decode_partition,
    decode_row,
    due_of,
    encode_partition,
    encode_row,
    epoch_of,
    is_same_but_epoch,
)
from cdp_stream.formats.rows import members_of as members_of_bytes

INT64 = st.integers(-(2**63), 2**63 - 1)
TIMES = st.integers(0, 253_402_300_799_999)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SLOTS = st.dictionaries(TEXT, TIMES | st.lists(TIMES, min_size=1, max_size=5), max_size=4)
SPACES = st.dictionaries(
    TEXT,
    st.tuples(
        TIMES, TIMES, st.dictionaries(TEXT, SCALARS | st.lists(SCALARS, max_size=3), max_size=4)
    ),
    max_size=3,
)


def members_of(row):
    """All that a row holds, in plain values whose types differ where JSON's do."""
    spaces = {
        name: (space.first_seen, space.last_seen, repr(space.attributes))
        for name, space in row.spaces.items()
    }
    numbers = (row.mpid, row.due, row.clock, row.position, row.ordinal, row.weight)
    return (
        numbers,
        (row.identities, spaces, repr(row.slots), row.members),
        (row.event_ids, row.batch_ids),
    )


@st.composite
def rows(draw):
    row = Row(draw(INT64))
    row.due, row.clock, row.position = draw(TIMES | st.just(FOREVER)), draw(TIMES), draw(TIMES)
    row.ordinal, row.weight = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**32 - 1))
    row.identities = draw(st.dictionaries(TEXT, TEXT, max_size=3))
    row.spaces = {name: Space(*space) for name, space in draw(SPACES).items()}
    row.slots = draw(SLOTS)
    row.members = draw(st.dictionaries(TEXT, TIMES, max_size=4))
    row.event_ids = bytearray(draw(st.binary(max_size=64)))
    row.batch_ids = bytearray(draw(st.binary(max_size=64)))
    return row


@given(row=rows())
def test_a_decoded_row_is_the_row_that_was_encoded(row):
    value = encode_row(row)
    assert members_of(decode_row(row.mpid, value)) == members_of(row)
    assert due_of(value) == row.due
    assert encode_row(decode_row(row.mpid, value)) == value


def test_a_new_row_comes_back_new():
    row = decode_row(5, encode_row(Row(5)))
    assert (row.clock, row.due, row.position, row.slots) == (NEVER, FOREVER, -1, {})


def test_a_row_with_every_id_remembered_comes_back():
    row = Row(1)
    row.event_ids = bytearray(range(250)) * 64
    row.batch_ids = bytearray(b"\xff" * 16_000)
    back = decode_row(1, encode_row(row))
    assert (back.event_ids, back.batch_ids) == (row.event_ids, row.batch_ids)


@given(time=INT64, position=INT64)
def test_the_partitions_own_row_comes_back(time, position):
    state = PartitionState(time, position)
    assert decode_partition(encode_partition(state)) == state


def test_no_profile_has_the_key_of_the_partitions_own_row():
    with pytest.raises(ValueError, match="invalid literal"):
        int(PARTITION_KEY)


@pytest.mark.parametrize("read", [lambda value: decode_row(5, value), due_of])
def test_a_row_of_another_version_is_refused(read):
    value = b"\x03" + encode_row(Row(5))[1:]
    for other in (value, value[:1]):
        with pytest.raises(OutsideError, match="has version 3, this release reads up to 2"):
            read(other)


def test_a_partitions_row_of_another_version_is_refused():
    with pytest.raises(OutsideError, match="has version 9, this release reads up to 2"):
        decode_partition(b"\x09" + encode_partition(PartitionState(1, 2)))


def test_a_row_cut_short_anywhere_is_refused():
    row = Row(5)
    row.event_ids = bytearray(16)
    row.spaces["travel"] = Space(1, 2, {"a": "b"})
    value = encode_row(row)
    for length in range(len(value)):
        with pytest.raises(OutsideError, match="damaged: "):
            decode_row(5, value[:length])


@pytest.mark.parametrize(
    "body", [b"", b"\x80", b"\x90", b"\x92\x01\x02", b"\x05", b"[]", b"\xc1", b"\xff" * 40]
)
def test_a_row_with_another_body_is_refused(body):
    header = encode_row(Row(5))[:13]
    with pytest.raises(OutsideError, match="damaged: 5"):
        decode_row(5, header + body)


@pytest.mark.parametrize("length", [0, 5, 16, 18])
def test_a_partitions_row_of_another_length_is_refused(length):
    value = (encode_partition(PartitionState(1, 2)) + b"x")[:length]
    with pytest.raises(OutsideError, match="damaged: the partition's own row"):
        decode_partition(value)


def test_a_due_instant_is_not_read_from_a_row_that_is_too_short():
    with pytest.raises(OutsideError, match="damaged"):
        due_of(encode_row(Row(5))[:8])
    with pytest.raises(OutsideError, match="damaged"):
        due_of(b"")


def test_a_row_of_the_first_version_is_read_as_of_the_first_epoch():
    members, variants = {"a": 5}, {"a": "Control"}
    cold = msgspec.msgpack.encode(({"email": "x"}, [({"k": 1}, {})], members, variants, 6))
    body = (9, 3, 1, 200, [("travel", 1, 2)], {"s": 4}, b"", b"", msgspec.Raw(cold))
    value = Struct(">Bq").pack(1, 77) + msgspec.msgpack.encode(body)
    row = decode_row(5, value)
    assert (row.due, row.epoch, row.clock, row.position, row.emitted_at) == (77, 0, 9, 3, NEVER)
    assert (row.members, row.variants, row.opt_out) == (members, variants, 6)
    assert row.spaces["travel"].attributes == {"k": 1}
    assert (due_of(value), epoch_of(value), set(members_of_bytes(value))) == (77, 0, {"a"})
    assert decode_row(5, encode_row(row)).members == members


@given(row=rows(), other=rows(), epoch=st.integers(0, 2**32 - 1))
def test_rows_are_compared_but_for_their_epochs(row, other, epoch):
    value = encode_row(row)
    row.epoch = epoch
    assert epoch_of(encode_row(row)) == epoch
    assert is_same_but_epoch(encode_row(row), value)
    assert is_same_but_epoch(encode_row(other), value) == (
        encode_row(other)[:9] == value[:9] and encode_row(other)[13:] == value[13:]
    )
