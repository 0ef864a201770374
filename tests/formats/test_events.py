"""Whose a batch is, when its events happened, and what identifies it."""

import pytest

from tests.formats.records import (
    AT,
    CRM,
    as_bytes,
    batch_of,
    custom_event,
    decode,
    one_input,
    three_inputs,
)


def test_a_batch_is_decoded_whole():
    document = {
        "mpid": 7,
        "api_key": "k-ios",
        "source_request_id": "r1",
        "timestamp_unixtime_ms": AT - 5,
        "user_attributes": {"$FirstName": "Ada", "Plan": None},
        "deleted_user_attributes": ["old", "$AGE"],
        "user_identities": {"email": "a@example.com", "other": None},
        "device_info": {
            "platform": "iOS",
            "ios_advertising_id": "00000000-0000-0000-0000-000000000000",
        },
        "application_info": {"application_version": "1.2"},
        "events": [
            custom_event("B", timestamp_unixtime_ms=AT - 10, source_message_id="m1"),
            custom_event("C", custom_event_type="media"),
            custom_event("A", timestamp_unixtime_ms=AT - 20),
        ],
    }
    batch = batch_of(decode(document))
    assert (batch.mpid, batch.input, batch.arrival) == (7, "ios", AT - 5)
    assert batch.digest == -4574813748953258157
    assert batch.device == {"platform": "iOS"}
    assert batch.application == {"application_version": "1.2"}
    assert batch.profile.attributes == {"$firstname": "Ada", "Plan": None}
    assert batch.profile.deleted == ["old", "$age"]
    assert batch.profile.identities == {"email": "a@example.com", "other": None}
    assert batch.profile.facts.device == ("11:iOS", {"platform": "iOS"})
    written = '{"$firstname":"Ada","Plan":null}{"email":"a@example.com","other":null}'
    assert len(written) < batch.profile.size < len(written) + 200
    assert [
        (
            event.occurred_at,
            event.kind,
            event.name,
            event.custom_event_type,
            event.message_id,
            event.digest,
            event.index,
        )
        for event in batch.events
    ] == [
        (AT - 20, "event", "A", "", None, None, 2),
        (AT - 10, "event", "B", "", "m1", -797793860754255203, 0),
        (AT - 5, "event", "C", "media", None, None, 1),
    ]
    assert batch.events[0].data == {"event_name": "A", "timestamp_unixtime_ms": AT - 20}


def test_a_batch_may_hold_nothing():
    batch = batch_of(decode({"mpid": 7, "unknown": [1], "events": None, "user_attributes": None}))
    assert (batch.events, batch.profile, batch.device, batch.application, batch.digest) == (
        [],
        None,
        {},
        {},
        None,
    )
    assert batch.arrival == AT


@pytest.mark.parametrize(
    ("mpid", "key", "expected"),
    [
        (0, b"0", 0),
        ("0", b"0", 0),
        (-5, b"-5", -5),
        ("-5", b"-5", -5),
        (2**63 - 1, b"9223372036854775807", 2**63 - 1),
        (str(-(2**63)), b"-9223372036854775808", -(2**63)),
    ],
)
def test_the_profile_is_the_key(mpid, key, expected):
    assert batch_of(one_input().decode(as_bytes({"mpid": mpid}), key, (), AT)).mpid == expected


@pytest.mark.parametrize(
    ("api_key", "headers", "expected"),
    [
        ("k-web", [], "web"),
        ("k-web", [("input", b"crm")], "crm"),
        ("k-web", [("other", b"ios")], "web"),
        (None, [("input", b"ios"), ("input", b"crm"), ("trace", None)], "crm"),
    ],
)
def test_the_input_is_the_header_or_the_api_key(api_key, headers, expected):
    value = as_bytes({"mpid": 7, "api_key": api_key})
    assert batch_of(three_inputs().decode(value, b"7", headers, AT)).input == expected


@pytest.mark.parametrize("api_key", [None, "k-ios", "k-unknown", 3, []])
def test_the_only_input_takes_every_batch_without_a_header(api_key):
    assert batch_of(decode({"mpid": 7, "api_key": api_key})).input == "ios"


def test_offline_the_input_is_named_on_the_command_line():
    line = as_bytes({"mpid": 7, "api_key": "k-web", "timestamp_unixtime_ms": 1})
    assert batch_of(three_inputs().decode_line(line)).input == "web"
    assert batch_of(three_inputs().decode_line(line, CRM.id)).input == "crm"
    batch, [reject] = three_inputs().decode_line(line, "tv")
    assert batch is None
    assert reject.reason == "unknown_input"


def test_offline_a_newline_is_no_part_of_the_line():
    assert (
        batch_of(one_input().decode_line(b'{"mpid":7,"timestamp_unixtime_ms":1}\r\n')).arrival == 1
    )


def times(document, at=AT):
    batch = batch_of(decode(document, at=at))
    return batch.arrival, [event.occurred_at for event in batch.events]


def test_an_event_without_time_happened_when_its_batch_was_sent_or_else_recorded():
    assert times({"mpid": 7, "timestamp_unixtime_ms": 5, "events": [custom_event()]}) == (5, [5])
    assert times({"mpid": 7, "timestamp_unixtime_ms": None, "events": [custom_event()]}) == (
        AT,
        [AT],
    )
    assert times({"mpid": 7, "events": [custom_event(timestamp_unixtime_ms=None)]}) == (AT, [AT])


def test_an_event_later_than_its_arrival_happened_at_the_arrival():
    assert times(
        {"mpid": 7, "timestamp_unixtime_ms": 5, "events": [custom_event(timestamp_unixtime_ms=6)]}
    ) == (5, [5])
    assert times({"mpid": 7, "events": [custom_event(timestamp_unixtime_ms=AT + 1)]}) == (AT, [AT])


def test_the_first_and_the_last_instant_are_times():
    assert times({"mpid": 7, "events": [custom_event(timestamp_unixtime_ms=0)]}) == (AT, [0])
    last = 253_402_300_799_999
    assert times({"mpid": 7, "timestamp_unixtime_ms": last}, at=last) == (last, [])


@pytest.mark.parametrize("recorded_at", [-1, 253_402_300_800_000])
def test_a_record_without_an_instant_has_no_timestamp(recorded_at):
    document = {
        "mpid": 7,
        "events": [custom_event(timestamp_unixtime_ms=9), custom_event(timestamp_unixtime_ms=3)],
    }
    assert times(document, at=recorded_at) == (9, [3, 9])


def test_offline_a_batch_arrives_with_its_last_event():
    events = [
        custom_event("A"),
        custom_event("B", timestamp_unixtime_ms=9),
        custom_event("C", timestamp_unixtime_ms=3),
    ]
    batch = batch_of(one_input().decode_line(as_bytes({"mpid": 7, "events": events})))
    assert batch.arrival == 9
    assert [(event.name, event.occurred_at) for event in batch.events] == [
        ("C", 3),
        ("A", 9),
        ("B", 9),
    ]


def test_events_of_one_time_keep_their_order():
    events = [
        custom_event(name, timestamp_unixtime_ms=time)
        for name, time in [("A", 2), ("B", 1), ("C", 2), ("D", 1)]
    ]
    assert [event.name for event in batch_of(decode({"mpid": 7, "events": events})).events] == [
        "B",
        "D",
        "A",
        "C",
    ]


@pytest.mark.parametrize(
    ("written", "message_id"),
    [
        ("m", "m"),
        (5, "5"),
        (-5, "-5"),
        ("", None),
        (None, None),
        (True, None),
        (1.5, None),
        ([], None),
        ({}, None),
    ],
)
def test_an_id_is_text_or_an_integer(written, message_id):
    document = {
        "mpid": 7,
        "source_request_id": written,
        "events": [custom_event(source_message_id=written)],
    }
    batch = batch_of(decode(document))
    [event] = batch.events
    assert event.message_id == message_id
    assert (event.digest is None) == (message_id is None)
    assert batch.digest == event.digest


def test_the_same_id_has_the_same_digest_in_every_release():
    document = {
        "mpid": 7,
        "events": [custom_event(source_message_id=written) for written in ("a", "5", 5, "é")],
    }
    assert [event.digest for event in batch_of(decode(document)).events] == [
        -1817709641818812897,  # XXH3 of "a" is e6c632b61e964e1f
        -2388148047314387342,
        -2388148047314387342,
        -606849052844159821,
    ]
