"""The short cut for usual records gives what the general reading gives; usual records take it."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.bench import reference_load
from cdp_stream.formats.envelope import identify, parse_object, read_json
from cdp_stream.formats.events import read_batch
from cdp_stream.formats.rejects import Reject
from cdp_stream.formats.usual import usual_batch
from tests.formats.mutations import paths, replaced, scalars, values, without, written
from tests.formats.records import AT, as_bytes, batch_of, custom_event, one_input

USUAL = {
    "mpid": 7,
    "timestamp_unixtime_ms": AT,
    "source_request_id": "r1",
    "environment": "production",
    "user_attributes": {"$City": "Berlin", "tier": "gold", "visits": 3, "tag": None, "on": True},
    "events": [
        custom_event(
            "Play",
            custom_event_type="media",
            timestamp_unixtime_ms=AT - 5,
            source_message_id="m1",
            custom_attributes={"genre": "jazz", "seconds": 3.5, "live": False, "label": None},
        )
    ],
}
PATHS = [path for path in sorted(paths(USUAL), key=repr) if path]

# What is usual comes first and often, so that not every batch has something else in it.
names = st.text(max_size=4) | st.sampled_from(
    ["Play", "n" * 256, "é", "A", "n" * 257, "é" * 257, 7, None, "{"]
)
times = st.sampled_from([None, 0, AT - 1, AT, 1, 2]) | st.sampled_from(
    [None, AT + 1, -1, 10**18, True, 1.0, "1"]
)
ids = st.sampled_from([None, "m", "é", "n" * 40]) | st.sampled_from(
    ["m", "", 7, 2**63, False, 1.5, [], "["]
)
attributes = st.dictionaries(
    st.text(max_size=4) | st.sampled_from(["k" * 256, "k" * 257, "é" * 200]), scalars, max_size=4
)
user_attributes = st.dictionaries(
    st.text(max_size=4) | st.sampled_from(["$City", "$CITY", "$", "k" * 256, "k" * 257]),
    st.booleans() | st.text(max_size=4) | scalars,
    max_size=4,
)
many_attributes = st.integers(98, 102).map(lambda count: {str(n): n for n in range(count)})
events = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(["custom_event", "screen_view"])
        | st.sampled_from(["custom_event", "session_start", "no_such_type", None, 1]),
        "data": st.fixed_dictionaries(
            {"event_name": names, "screen_name": names},
            optional={
                "timestamp_unixtime_ms": times,
                "source_message_id": ids,
                "custom_attributes": attributes | many_attributes | values,
                "custom_event_type": values,
                "location": values,
                "unread": values,
            },
        ),
    }
)
batches = st.fixed_dictionaries(
    {"mpid": st.just(7), "events": st.lists(events, min_size=1, max_size=2)},
    optional={
        "timestamp_unixtime_ms": times,
        "source_request_id": ids,
        "device_info": values,
        "user_attributes": st.just({})
        | user_attributes
        | user_attributes
        | many_attributes
        | values,
        "unread": values,
    },
)
mpids = st.integers(-(2**63) - 1, 2**63) | st.integers(-20, 20) | st.sampled_from([True, 1.0, None])
ids_as_text = mpids.map(str) | st.sampled_from(
    ["007", "+7", "-0", " 7", "7 ", "1_0", "\u0667", "", "x"]
)


def fields(record):
    return {name: getattr(record, name) for name in type(record).__slots__}


def shown(batch):
    # As text, in which 1, 1.0 and True are not the same.
    profile = None if batch.profile is None else fields(batch.profile)
    parts = {"events": [fields(event) for event in batch.events], "profile": profile}
    return repr(fields(batch) | parts)


def is_usual(value: bytes, arrival: int | None = AT) -> bool:
    """Whether a record takes the short cut; what it gives there must be what it gives elsewhere."""
    parsed = parse_object(value)
    if isinstance(parsed, Reject):
        return False
    batch, brackets = parsed
    assert brackets == value.count(b"{") + value.count(b"[")
    usual = usual_batch(batch, 7, "ios", arrival, len(value), brackets)
    if usual is None:
        return False
    # Parsed again: what is read takes members of the object as they are.
    general, rejects = read_batch(value, read_json(value), 7, "ios", arrival)
    assert rejects == ()
    assert shown(usual) == shown(general)
    return True


def event_with(**data):
    return {"mpid": 7, "events": [custom_event("Play", **data)]}


@given(batches)
def test_any_batch(document):
    is_usual(written(document))


@given(mpids | ids_as_text, mpids.map(str) | ids_as_text, st.booleans())
def test_any_mpid_beside_any_key(mpid, key, agree):
    key = (str(mpid) if agree else key).encode()
    value = as_bytes(USUAL | {"mpid": mpid})
    expected = identify({"mpid": mpid}, key, value)
    batch, rejects = one_input().decode(value, key, (), AT)
    assert (expected if batch is None else batch.mpid) == expected
    assert rejects == ((expected,) if isinstance(expected, Reject) else ())


@given(st.lists(st.tuples(st.sampled_from(PATHS), values), min_size=1, max_size=3))
def test_any_value_in_any_place(changes):
    document = USUAL
    for path, value in changes:
        if path in set(paths(document)):
            document = replaced(document, path, value)
    is_usual(written(document))


@given(st.data())
def test_mutated_bytes(data):
    value = bytearray(as_bytes(USUAL))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(value) - 1))
        value[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"{", b"[", b"}", b"]", b",", b"null"])
        )
    is_usual(bytes(value))


@pytest.mark.parametrize(
    "path", [path for path in PATHS if path[-1] not in {"events", 0, "event_type", "data"}]
)
def test_a_record_without_one_member_is_usual_unless_it_is_the_name(path):
    assert is_usual(as_bytes(without(USUAL, path))) == (path[-1] != "event_name")


@pytest.mark.parametrize(
    "document",
    [
        USUAL,
        event_with(),
        event_with(custom_attributes=None, source_message_id=None, timestamp_unixtime_ms=None),
        event_with(custom_attributes={}, custom_event_type=7, timestamp_unixtime_ms=AT),
        event_with(custom_attributes={"k" * 256: "v" * 1000}),
        event_with(custom_attributes={str(n): n for n in range(100)}),
        event_with(ignored={"of": "no interest"}),
        event_with() | {"user_attributes": {"a": 1, "$B": "b", "c": None, "d": "v" * 4096}},
        event_with(custom_attributes={"a": 1}) | {"user_attributes": {"a": 1}},
        event_with(ignored=[]) | {"user_attributes": None},
        USUAL | {"user_attributes": {}},
        {"mpid": 7, "events": [{"event_type": "screen_view", "data": {"screen_name": ""}}]},
    ],
)
def test_usual_records(document):
    assert is_usual(as_bytes(document))


@pytest.mark.parametrize(
    "document",
    [
        USUAL | {"events": []},
        USUAL | {"events": USUAL["events"] * 2},
        {"mpid": 7, "events": [custom_event("A"), 5]},
        USUAL | {"device_info": None},
        USUAL | {"user_attributes": []},
        USUAL | {"user_attributes": {"a": []}},
        event_with() | {"user_attributes": {"a": []}},
        event_with() | {"user_attributes": {"a": "["}},
        event_with(ignored=[]) | {"user_attributes": {}},
        event_with() | {"user_attributes": {"a": "v" * 4097}},
        event_with() | {"user_attributes": {"k" * 257: 0}},
        event_with() | {"user_attributes": {str(n): n for n in range(101)}},
        USUAL | {"source_request_id": 7},
        event_with(ignored={"of": ["no", "interest"]}),
        event_with(location=None),
        event_with(source_message_id=""),
        event_with(timestamp_unixtime_ms=AT + 1),
        event_with(custom_attributes={"a": "["}),
        event_with(custom_attributes={"a": []}),
        event_with(custom_attributes={"k" * 257: 0}),
        event_with(custom_attributes={str(n): n for n in range(101)}),
        event_with(custom_attributes={"a": "v" * 4097}),
        {"mpid": 7, "events": [{"event_type": "session_start", "data": {}}]},
    ],
)
def test_unusual_records(document):
    assert not is_usual(as_bytes(document))


def test_a_record_that_does_not_say_when_it_arrived_is_not_usual():
    assert not is_usual(as_bytes(event_with(timestamp_unixtime_ms=AT)), None)


@pytest.mark.parametrize("length", [256, 257])
def test_a_long_attribute_name_in_the_shortest_record(length):
    """One byte decides whether names are looked at: no shorter record may have so long a name."""
    data = {"screen_name": "", "custom_attributes": {"k" * length: 0}}
    value = as_bytes({"mpid": 7, "events": [{"event_type": "screen_view", "data": data}]})
    assert is_usual(value) == (length == 256)
    _batch, rejects = one_input().decode(value, b"7", (), AT)
    assert len(rejects) == (length == 257)


@pytest.mark.parametrize("sdk", [False, True])
def test_the_records_of_the_benchmark_are_usual(sdk):
    for mpid, value in reference_load.stream(50, sdk=sdk):
        arrival = orjson.loads(value)["timestamp_unixtime_ms"]
        assert is_usual(value, arrival)
        decoded = batch_of(one_input().decode(value, b"%d" % mpid, (), arrival))
        general, _rejects = read_batch(value, orjson.loads(value), mpid, "ios", arrival)
        assert shown(decoded) == shown(general)
        assert shown(batch_of(one_input().decode_line(value))) == shown(general)
