"""Whatever the bytes are, decoding gives a batch, a reject, or both, and never raises."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_stream.core.model.event import Batch
from cdp_stream.core.model.subject import INSTALL_AND_UPGRADE, SUBJECTS, UNREAD
from cdp_stream.formats.envelope import parse_object
from cdp_stream.formats.event_types import READERS
from cdp_stream.formats.rejects import Reason, Reject, reject_headers, rejected_line
from tests.formats.mutations import paths, replaced, scalars, values, without, written
from tests.formats.records import AT, as_bytes, custom_event, one_input, three_inputs

GOOD = {
    "mpid": 7,
    "api_key": "k-ios",
    "source_request_id": "r1",
    "timestamp_unixtime_ms": AT,
    "user_attributes": {"a": 1, "b": ["x"], "$Age": None},
    "deleted_user_attributes": ["c"],
    "user_identities": [{"identity_type": "email", "identity": "a@b.c"}],
    "device_info": {"platform": "iOS"},
    "application_info": {"application_version": "1"},
    "consent_state": {"gdpr": {"ads": {"consented": True, "timestamp_unixtime_ms": 1}}},
    "context": {"location": {"latitude": 1, "longitude": 2}},
    "attribution_info": {"publisher": "p"},
    "events": [
        custom_event(
            "A", timestamp_unixtime_ms=AT, source_message_id="m", custom_attributes={"a": 1}
        ),
        {
            "event_type": "commerce_event",
            "data": {"product_action": {"action": "purchase", "products": [{"id": "p"}]}},
        },
        {"event_type": "screen_view", "data": {"screen_name": "S", "location": {"latitude": 1}}},
    ],
}

PATHS = sorted(paths(GOOD), key=repr)


def check(decoded, value):
    batch, rejects = decoded
    assert batch is not None or rejects
    for reject in rejects:
        assert type(reject) is Reject
        assert reject.detail
        if reject.reason is not Reason.BAD_EVENT:
            assert reject.value == value
        headers = dict(reject_headers(reject, "cdp.events", 0, 1))
        assert headers["reason"].decode() == reject.reason
        assert json.loads(rejected_line(reject, 1, value))["detail"] == reject.detail
        if value and reject.value != value:
            assert isinstance(parse_object(reject.value), tuple)
    if batch is not None:
        check_batch(batch)


def check_batch(batch):
    assert type(batch) is Batch
    assert -(2**63) <= batch.mpid < 2**63
    assert 0 <= batch.arrival <= 253_402_300_799_999
    times = [event.occurred_at for event in batch.events]
    assert times == sorted(times)
    assert all(type(time) is int and 0 <= time <= batch.arrival for time in times)
    for event in batch.events:
        assert event.kind in {*SUBJECTS, INSTALL_AND_UPGRADE, UNREAD}
        assert type(event.name) is type(event.custom_event_type) is str
        assert type(event.data) is dict
        assert (event.digest is None) == (event.message_id is None)
    if batch.profile is not None:
        assert all(type(key) is str for key in [*batch.profile.attributes, *batch.profile.deleted])
        assert all(text is None or type(text) is str for text in batch.profile.identities.values())


def check_everywhere(value):
    check(one_input().decode(value, b"7", (), AT), value)
    check(three_inputs().decode(value, b"7", [("input", b"web")], AT), value)
    check(one_input().decode_line(value), value.rstrip(b"\r\n"))


@given(st.binary(max_size=200), st.binary(max_size=20) | st.none(), st.integers(-1, 2**63 - 1))
def test_random_bytes(value, key, recorded_at):
    check(one_input().decode(value, key, (), recorded_at), value)
    check(three_inputs().decode(value, key, [("input", value), ("time", key)], recorded_at), value)
    check(one_input().decode_line(value), value.rstrip(b"\r\n"))


@given(st.data())
def test_mutated_bytes(data):
    value = bytearray(as_bytes(GOOD))
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(value) - 1))
        value[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3)
            | st.sampled_from([b'"', b"{", b"[", b"}", b"]", b",", b":", b"1e999", b"\\ud800"])
        )
    check_everywhere(bytes(value))


@given(st.sampled_from(PATHS), values)
def test_any_value_in_any_place(path, value):
    check_everywhere(written(replaced(GOOD, path, value)))


@given(st.sampled_from([path for path in PATHS if path]))
def test_any_member_missing(path):
    check_everywhere(as_bytes(without(GOOD, path)))


@given(st.lists(st.tuples(st.sampled_from(sorted(READERS)) | scalars, values), max_size=4))
def test_any_data_in_any_event_type(events):
    check_everywhere(
        written(
            {"mpid": 7, "events": [{"event_type": kind, "data": data} for kind, data in events]}
        )
    )


@settings(max_examples=50)
@given(
    st.sampled_from([path for path in PATHS if path]),
    st.integers(1, 3000),
    st.sampled_from([("[", "]"), ('{"a":', "}"), ("[[],", "]")]),
    st.booleans(),
)
def test_deep_nesting_in_any_place(path, depth, brackets, is_closed):
    opening, closing = brackets
    deep = opening * depth + "1" + closing * depth * is_closed
    value = as_bytes(replaced(GOOD, path, "DEEP")).replace(b'"DEEP"', deep.encode())
    check_everywhere(value)


def test_a_good_record_has_no_fault():
    assert one_input().decode(as_bytes(GOOD), b"7", (), AT)[1] == ()
