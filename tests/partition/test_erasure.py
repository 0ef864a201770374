"""A record that asks for an erasure: what it changes, and that it may come twice."""

import json

import pytest

from cdp_stream.formats.definitions_row import DEFINITIONS_KEY
from cdp_stream.formats.rows import decode_row
from cdp_stream.partition.effects import META_ROW
from tests.core.accounts import DAY
from tests.partition.backfilled import begun
from tests.partition.records import Sent, T, deliver, ids, marker, processor, sent


def erasure(offset: int, mpid: int, at: int, value: bytes | None = b"") -> Sent:
    return Sent(b"%d" % mpid, value, (("erase", b""),), T + at, offset)


@pytest.mark.parametrize("value", [b"", None])
def test_an_erasure_deletes_memberships_and_in_the_end_the_row(value):
    rows = {}
    made = processor(rows)
    deliver(rows, made.apply([sent(0, 7, 0, "play"), sent(1, 8, 0, "play")]))
    deliver(rows, effects := made.apply([erasure(2, 7, 5, value)]))
    assert ids(effects) == ["delete played:7:5:0", "delete not-bought:7:5:1"]
    causes = [json.loads(message)["cause"] for _key, message in effects.memberships]
    assert (
        causes
        == [{"kind": "erasure", "criterion": None, "event_id": None, "event_time": T + 5}] * 2
    )
    assert effects.state == [(b"played:7", None), (b"not-bought:7", None)]
    assert made.time == T + 5
    assert decode_row(7, rows[b"7"]).members == {}
    deliver(rows, effects := made.tick(T + 6, 10))
    assert effects.rows[b"7"] is None
    assert list(rows) == [b"8", META_ROW]


def test_the_row_that_is_left_for_an_instant_says_nothing_of_the_profile():
    rows = {}
    made = processor(rows)
    told = {"user_identities": {"email": "ada@example.com"}, "user_attributes": {"s": "ada"}}
    deliver(rows, made.apply([sent(0, 7, 0, "play", source_request_id="ada", **told)]))
    deliver(rows, made.apply([erasure(1, 7, 1)]))
    row = decode_row(7, rows[b"7"])
    assert b"ada" not in rows[b"7"]
    assert (row.identities, row.spaces, row.slots, bytes(row.batch_ids)) == ({}, {}, {}, b"")


def test_an_erasure_that_comes_twice_counts_once_with_what_came_after_it():
    rows = {}
    made = processor(rows)
    deliver(rows, made.apply([sent(0, 7, 0, "play")]))
    once = made.apply([erasure(1, 7, 5), sent(2, 7, 5, "play")])
    assert ids(once) == [
        "delete played:7:5:0", "delete not-bought:7:5:1",
        "add played:7:5:2", "add not-bought:7:5:3",
    ]  # fmt: skip
    again = processor(rows)
    assert ids(again.apply([erasure(1, 7, 5), sent(2, 7, 5, "play")])) == ids(once)
    rows[b"7"] = once.rows[b"7"]
    last = processor(rows)
    assert ids(last.apply([erasure(1, 7, 5), sent(2, 7, 5, "play")])) == []


def test_a_profile_that_is_not_known_leaves_no_row():
    made = processor({})
    effects = made.apply([erasure(0, 7, 5)])
    assert (list(effects.rows), made.time, made.position) == ([META_ROW], T + 5, 0)


def test_what_was_due_before_it_fires_before_it():
    made = processor({})
    made.apply([sent(0, 7, 0, "play"), marker(1, 4 * DAY)])
    effects = made.apply([erasure(2, 7, 4 * DAY)])
    assert ids(effects) == [
        f"delete played:7:{3 * DAY + 1}:0", f"delete not-bought:7:{4 * DAY}:0"
    ]  # fmt: skip


def test_a_record_without_a_time_erases_at_the_partitions_time():
    made = processor({})
    made.apply([sent(0, 7, 9, "play")])
    effects = made.apply([Sent(b"7", b"", (("erase", b""),), -1, 1)])
    assert ids(effects) == ["delete played:7:9:2", "delete not-bought:7:9:3"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Sent(None, b"", (("erase", b""),), T, 1), "bad_key"),
        (Sent(b"007", None, (("erase", b""),), T, 1), "bad_key"),
        (Sent(b"7", b'{"mpid": 7}', (("erase", b""),), T, 1), "bad_event"),
        (Sent(b"7", b'{"mpid": 7}', (("erase", b""), ("input", b"shop")), T, 1), "bad_event"),
        (Sent(b"7", b"", (("erased", b""),), T, 1), "not_json"),
    ],
)
def test_a_bad_form_is_rejected_and_erases_nothing(record, reason):
    made = processor({})
    made.apply([sent(0, 7, 0, "play")])
    effects = made.apply([record])
    ((key, value, headers),) = effects.rejected
    assert (key, value, dict(headers)["reason"].decode()) == (record.key, record.value, reason)
    assert (ids(effects), made.position) == ([], 1)


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("before", [True, False])
def test_a_backfill_reads_nothing_from_before_an_erasure(saved, before):
    visits = [sent(offset, mpid, offset, "play") for offset, mpid in enumerate((7, 7, 8, 8))]
    asked = erasure(4, 7, 5)
    later = sent(5, 7, 6, "play")
    partition = begun(*visits, *((asked, later) if before else ()))
    partition.read(4)
    if saved:
        partition.save()
        partition.crash()
    if not before:
        partition.live(asked, later)
    assert partition.complete() == ["add twice:8:6:0"]
    assert partition.own_rows() == {META_ROW, DEFINITIONS_KEY}
