"""Every reject reason, with the exact reject: reason, detail and value."""

import json

import pytest

from cdp_stream.formats.rejects import Reason, Reject
from tests.formats.records import AT, as_bytes, custom_event, decode, one_input, three_inputs

KEY_EXPECTED = "key: expected the mpid as decimal text of a signed 64-bit integer"
MPID_EXPECTED = "$.mpid: expected a signed 64-bit integer or its decimal text"
TIME_EXPECTED = "expected an integer in [0, 253402300799999]"


def only_reject(value, key=b"7", headers=(), at=AT, decoder=None):
    batch, rejects = (decoder or one_input()).decode(value, key, headers, at)
    assert batch is None
    assert len(rejects) == 1
    return rejects[0]


def test_more_than_128_kib_is_too_large():
    value = b'{"mpid":7,"x":"' + b"a" * (131_073 - 17) + b'"}'
    assert len(value) == 131_073
    assert only_reject(value) == Reject(
        Reason.TOO_LARGE, "value: expected at most 131072 bytes", value
    )


def test_exactly_128_kib_is_accepted():
    value = b'{"mpid":7,"x":"' + b"a" * (131_072 - 17) + b'"}'
    assert one_input().decode(value, b"7", (), AT)[1] == ()


@pytest.mark.parametrize("depth", [65, 1000, 20_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_over_64_is_too_large(depth, opening, closing):
    inner = depth - 1
    value = b'{"mpid":7,"x":' + opening * inner + b"1" + closing * inner + b"}"
    if len(value) > 131_072:
        value = b"[" * 40_000
    assert only_reject(value) == Reject(
        Reason.TOO_LARGE, "value: expected nesting of at most 64", value
    )


def test_nesting_of_64_is_accepted():
    value = b'{"mpid":7,"x":' + b"[" * 63 + b"]" * 63 + b"}"
    assert one_input().decode(value, b"7", (), AT)[1] == ()


def test_brackets_in_text_are_not_nesting():
    value = as_bytes({"mpid": 7, "x": '[{"\\[' * 100, "y": [[], [[]]] * 50})
    assert one_input().decode(value, b"7", (), AT)[1] == ()
    broken = value[:-1]
    assert only_reject(broken).reason is Reason.NOT_JSON


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"{",
        b"nonsense",
        b'{"mpid":7,"x":NaN}',
        b'{"mpid":7,"x":Infinity}',
        b'{"mpid":7}{}',
        b'{"mpid":7,}',
        b'{"mpid":7,"x":"\xff"}',
        b'\xef\xbb\xbf{"mpid":7}',
        b"{'mpid':7}",
        b'{"mpid":7,"x":1e999,"y":NaN}',
        b'{"mpid":7,"x":"\\ud800}',
    ],
)
def test_what_is_not_json_in_utf_8_is_not_json(value):
    reject = only_reject(value)
    assert (reject.reason, reject.value) == (Reason.NOT_JSON, value)
    assert reject.detail.startswith("value: expected JSON in UTF-8 (")


def test_a_tombstone_is_not_json():
    assert only_reject(None) == Reject(
        Reason.NOT_JSON, "value: expected JSON, found no value", None
    )


@pytest.mark.parametrize("value", [b"[]", b'"text"', b"7", b"null", b"true", b'[{"mpid":7}]'])
def test_other_json_is_not_an_object(value):
    assert only_reject(value) == Reject(Reason.NOT_AN_OBJECT, "$: expected an object", value)


@pytest.mark.parametrize(
    "key",
    [
        None,
        b"",
        b"seven",
        b"7.0",
        b" 7",
        b"7\n",
        b"+7",
        b"007",
        b"-0",
        b"0x7",
        b"1_0",
        "\u0667".encode(),
        b"\xff",
        b"9223372036854775808",
        b"-9223372036854775809",
        b"9" * 5000,
    ],
)
def test_a_key_that_is_no_64_bit_integer_is_a_bad_key(key):
    value = b'{"mpid":7}'
    assert only_reject(value, key) == Reject(Reason.BAD_KEY, KEY_EXPECTED, value)


@pytest.mark.parametrize(
    "mpid",
    [
        None,
        True,
        False,
        7.0,
        "",
        "seven",
        "7.0",
        " 7",
        "+7",
        "007",
        "\u0667",
        [7],
        {"mpid": 7},
        2**63,
        -(2**63) - 1,
        10**40,
        str(2**63),
        "9" * 5000,
    ],
)
def test_an_mpid_that_is_no_64_bit_integer_is_no_mpid(mpid):
    value = as_bytes({"mpid": mpid})
    assert only_reject(value) == Reject(Reason.NO_MPID, MPID_EXPECTED, value)
    assert one_input().decode_line(value) == (None, (Reject(Reason.NO_MPID, MPID_EXPECTED, value),))


def test_a_batch_without_mpid_has_no_mpid():
    assert only_reject(b"{}") == Reject(Reason.NO_MPID, MPID_EXPECTED, b"{}")


@pytest.mark.parametrize(("mpid", "key"), [(7, b"8"), ("7", b"8"), (-7, b"7"), (0, b"7")])
def test_another_mpid_than_the_key_is_a_mismatch(mpid, key):
    value = as_bytes({"mpid": mpid})
    detail = f"$.mpid: expected the key of the record, {key.decode()}"
    assert only_reject(value, key) == Reject(Reason.MPID_KEY_MISMATCH, detail, value)


@pytest.mark.parametrize("name", [b"tv", b"", b"IOS", b"\xff", None])
def test_an_unknown_input_header_has_no_fall_back(name):
    value = as_bytes({"mpid": 7, "api_key": "k-ios"})
    expected = Reject(
        Reason.UNKNOWN_INPUT, "header input: expected the id of an input of the account", value
    )
    assert only_reject(value, headers=[("input", name)]) == expected
    assert only_reject(value, headers=[("input", name)], decoder=three_inputs()) == expected


@pytest.mark.parametrize("api_key", [None, "k-tv", 7, ["k-ios"], {}])
def test_no_input_of_several_is_an_unknown_input(api_key):
    value = as_bytes({"mpid": 7, "api_key": api_key})
    detail = "$.api_key: expected the api_key of an input, or a header input with the id of one"
    assert only_reject(value, decoder=three_inputs()) == Reject(Reason.UNKNOWN_INPUT, detail, value)


def test_a_timestamp_more_than_an_hour_after_the_record_is_future_time():
    value = as_bytes({"mpid": 7, "timestamp_unixtime_ms": AT + 3_600_001})
    detail = f"$.timestamp_unixtime_ms: expected at most an hour after the record's timestamp, {AT}"
    assert only_reject(value) == Reject(Reason.FUTURE_TIME, detail, value)


def test_a_timestamp_of_an_hour_after_the_record_is_accepted():
    batch, rejects = decode({"mpid": 7, "timestamp_unixtime_ms": AT + 3_600_000})
    assert batch.arrival == AT + 3_600_000
    assert rejects == ()


def test_offline_no_time_is_in_the_future():
    batch, _ = one_input().decode_line(b'{"mpid":7,"timestamp_unixtime_ms":253402300799999}')
    assert batch.arrival == 253_402_300_799_999


@pytest.mark.parametrize("time", [True, 1.0, 1.5, "1", -1, 253_402_300_800_000, 10**30, [], {}])
def test_a_batch_time_that_is_no_instant_rejects_the_whole_batch(time):
    value = as_bytes({"mpid": 7, "timestamp_unixtime_ms": time, "events": [custom_event(), 3]})
    assert only_reject(value) == Reject(
        Reason.BAD_EVENT, f"$.timestamp_unixtime_ms: {TIME_EXPECTED}", value
    )


@pytest.mark.parametrize("events", [{}, "x", 1, True])
def test_events_that_are_no_list_reject_the_whole_batch(events):
    value = as_bytes({"mpid": 7, "events": events, "user_attributes": {"a": 1}})
    assert only_reject(value) == Reject(Reason.BAD_EVENT, "$.events: expected a list", value)


@pytest.mark.parametrize(
    "batch",
    [
        {},
        {"events": []},
        {"events": [custom_event()]},
        {"user_attributes": {"a": 1}},
        {"events": [3, {"data": 3}, {"data": {"timestamp_unixtime_ms": True}}]},
    ],
)
def test_offline_a_batch_without_any_time_is_one_bad_event(batch):
    value = as_bytes({"mpid": 7, **batch})
    reject = Reject(
        Reason.BAD_EVENT, "$.timestamp_unixtime_ms: expected a time, here or in an event", value
    )
    assert one_input().decode_line(value) == (None, (reject,))


NAME = "expected text of at most 256 characters"
SCALAR = "expected text, a number, a boolean or null"


@pytest.mark.parametrize(
    ("event", "detail"),
    [
        (3, ": expected an object"),
        (None, ": expected an object"),
        ({}, ".event_type: expected an event type of the batch format"),
        (
            {"event_type": "install", "data": {}},
            ".event_type: expected an event type of the batch format",
        ),
        (
            {"event_type": ["uninstall"], "data": {}},
            ".event_type: expected an event type of the batch format",
        ),
        ({"event_type": "uninstall"}, ".data: expected an object"),
        ({"event_type": "uninstall", "data": []}, ".data: expected an object"),
        *[
            (
                {"event_type": "uninstall", "data": {"timestamp_unixtime_ms": time}},
                f".data.timestamp_unixtime_ms: {TIME_EXPECTED}",
            )
            for time in (True, 1.0, "1", -1, 253_402_300_800_000, 10**30, [])
        ],
        *[
            (custom_event(name), f".data.event_name: {NAME}")
            for name in (None, 3, ["a"], "n" * 257)
        ],
        ({"event_type": "custom_event", "data": {}}, f".data.event_name: {NAME}"),
        ({"event_type": "screen_view", "data": {"event_name": "a"}}, f".data.screen_name: {NAME}"),
        (
            {"event_type": "screen_view", "data": {"screen_name": "n" * 257}},
            f".data.screen_name: {NAME}",
        ),
        (custom_event(custom_attributes=[]), ".data.custom_attributes: expected an object"),
        (custom_event(custom_attributes={"a b": [1]}), f'.data.custom_attributes["a b"]: {SCALAR}'),
        (custom_event(custom_attributes={"a": {}}), f".data.custom_attributes.a: {SCALAR}"),
        (
            custom_event(custom_attributes={str(n): n for n in range(101)}),
            ".data.custom_attributes: expected at most 100 attributes",
        ),
        (
            custom_event(custom_attributes={"n" * 257: 1}),
            f'.data.custom_attributes["{"n" * 64}…"]: expected a name of at most 256 characters',
        ),
        (
            custom_event(custom_attributes={"a": "v" * 4097}),
            ".data.custom_attributes.a: expected text of at most 4096 characters",
        ),
        (custom_event(location=[]), ".data.location: expected an object"),
        (custom_event(location={"latitude": "48"}), ".data.location.latitude: expected a number"),
        (
            custom_event(location={"latitude": 48, "longitude": True}),
            ".data.location.longitude: expected a number",
        ),
    ],
)
def test_a_bad_event_is_rejected_alone(event, detail):
    document = {
        "mpid": 7,
        "user_attributes": {"a": 1},
        "events": [custom_event("A"), custom_event("B"), event],
        "more": 1,
    }
    batch, rejects = decode(document)
    assert [event.name for event in batch.events] == ["A", "B"]
    assert batch.profile.attributes == {"a": 1}
    [reject] = rejects
    assert (reject.reason, reject.detail) == (Reason.BAD_EVENT, f"$.events[2]{detail}")
    assert json.loads(reject.value) == document | {"events": [event]}


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        ({}, ": expected product_action, promotion_action or product_impressions"),
        (
            {"product_action": None, "product_impressions": []},
            ": expected product_action, promotion_action or product_impressions",
        ),
        ({"product_action": "purchase"}, ".product_action: expected an object"),
        ({"product_action": {}}, f".product_action.action: {NAME}"),
        ({"product_action": {"action": 3}}, f".product_action.action: {NAME}"),
        (
            {"product_action": {"action": "purchase", "products": {}}},
            ".product_action.products: expected a list of objects",
        ),
        (
            {"product_action": {"action": "purchase", "products": [{}, 3]}},
            ".product_action.products[1]: expected an object",
        ),
        (
            {"product_action": {"action": "purchase", "products": [{"custom_attributes": 3}]}},
            ".product_action.products[0].custom_attributes: expected an object",
        ),
        (
            {
                "product_action": {
                    "action": "purchase",
                    "products": [{"custom_attributes": {"a": []}}],
                }
            },
            f".product_action.products[0].custom_attributes.a: {SCALAR}",
        ),
        ({"promotion_action": []}, ".promotion_action: expected an object"),
        ({"promotion_action": {"promotions": []}}, f".promotion_action.action: {NAME}"),
        (
            {"promotion_action": {"action": "view", "promotions": 3}},
            ".promotion_action.promotions: expected a list of objects",
        ),
        ({"product_impressions": {}}, ".product_impressions: expected a list of objects"),
        ({"product_impressions": [3]}, ".product_impressions[0]: expected an object"),
        (
            {"product_impressions": [{"products": [3]}]},
            ".product_impressions[0].products[0]: expected an object",
        ),
    ],
)
def test_a_bad_commerce_event_is_rejected_alone(data, detail):
    event = {"event_type": "commerce_event", "data": data}
    batch, [reject] = decode({"mpid": 7, "events": [event]})
    assert batch.events == []
    assert (reject.reason, reject.detail) == (Reason.BAD_EVENT, f"$.events[0].data{detail}")
    assert json.loads(reject.value) == {"mpid": 7, "events": [event]}


def test_each_bad_event_has_its_own_reject_in_order():
    batch, rejects = decode({"mpid": 7, "events": [1, custom_event(), {}, custom_event(name=2)]})
    assert [event.index for event in batch.events] == [1]
    assert [(reject.detail.split(":")[0], reject.value) for reject in rejects] == [
        ("$.events[0]", b'{"mpid":7,"events":[1]}'),
        ("$.events[2].event_type", b'{"mpid":7,"events":[{}]}'),
        (
            "$.events[3].data.event_name",
            b'{"mpid":7,"events":[{"event_type":"custom_event","data":{"event_name":2}}]}',
        ),
    ]


def test_one_record_cannot_multiply_without_bound():
    value = as_bytes({"mpid": 7, "x": "a" * 60_000, "events": [1] * 30_000})
    batch, rejects = one_input().decode(value, b"7", (), AT)
    assert batch.events == []
    assert sum(len(reject.value) for reject in rejects) < 5_000_000
    assert sum(len(json.loads(reject.value)["events"]) for reject in rejects) == 30_000
    assert rejects[-1].detail.endswith(" more")


def test_a_bad_profile_part_is_one_reject_with_the_record_unchanged():
    value = (
        b'{ "mpid" : 7, "user_attributes": {"good":1, "bad":{}, "too bad":[[]]}, '
        b'"user_identities": 3, "events": [2] }'
    )
    batch, rejects = one_input().decode(value, b"7", (), AT)
    assert batch.profile.attributes == {"good": 1}
    assert rejects == [
        Reject(
            Reason.BAD_PROFILE,
            "$.user_attributes.bad: expected text, a number, a boolean, null or a list of those; "
            '$.user_attributes["too bad"]: expected a list of text, numbers, booleans or nulls; '
            "$.user_identities: expected an object, or a list of objects",
            value,
        ),
        Reject(
            Reason.BAD_EVENT,
            "$.events[0]: expected an object",
            b'{"mpid":7,"user_attributes":{"good":1,"bad":{},"too bad":[[]]},'
            b'"user_identities":3,"events":[2]}',
        ),
    ]


def test_a_detail_does_not_grow_without_bound():
    batch, [reject] = decode({"mpid": 7, "user_identities": [3] * 20_000})
    assert batch.profile is None
    assert len(reject.detail) < 4200
    assert reject.detail.endswith(" more")


def test_the_checks_come_in_the_order_of_the_reasons():
    document = {"mpid": "x", "api_key": 3, "timestamp_unixtime_ms": AT * 2, "events": 3}
    decoder = three_inputs()
    assert only_reject(as_bytes(document)[1:], None, decoder=decoder).reason is Reason.NOT_JSON
    assert only_reject(as_bytes([document]), None, decoder=decoder).reason is Reason.NOT_AN_OBJECT
    assert only_reject(as_bytes(document), None, decoder=decoder).reason is Reason.BAD_KEY
    assert only_reject(as_bytes(document), decoder=decoder).reason is Reason.NO_MPID
    document["mpid"] = 8
    assert only_reject(as_bytes(document), decoder=decoder).reason is Reason.MPID_KEY_MISMATCH
    document["mpid"] = 7
    assert only_reject(as_bytes(document), decoder=decoder).reason is Reason.UNKNOWN_INPUT
    document["api_key"] = "k-web"
    assert only_reject(as_bytes(document), decoder=decoder).reason is Reason.FUTURE_TIME
    document["timestamp_unixtime_ms"] = AT
    assert only_reject(as_bytes(document), decoder=decoder).reason is Reason.BAD_EVENT


def test_infinities_and_half_surrogate_pairs_leave_the_rest_of_a_batch_as_it_is():
    value = (
        b'{"mpid":7,"timestamp_unixtime_ms":5,"user_attributes":{"a":1e400,"b":"x\\ud800"},'
        b'"user_identities":{"email":-1e400,"other":"\\udfff"},"events":['
        b'{"event_type":"custom_event","data":{"event_name":"A","custom_attributes":{"k":1e400}}},'
        b'{"event_type":"custom_event","data":{"event_name":"B","timestamp_unixtime_ms":1e400}},'
        b'{"event_type":"custom_event","data":{"event_name":1e400}}]}'
    )
    for batch, rejects in (one_input().decode(value, b"7", (), AT), one_input().decode_line(value)):
        assert [event.data for event in batch.events] == [
            {"event_name": "A", "custom_attributes": {"k": float("inf")}}
        ]
        assert batch.profile.attributes == {"a": float("inf"), "b": "x\ufffd"}
        assert batch.profile.identities == {"other": "\ufffd"}
        assert [(reject.reason, reject.detail.partition(":")[0]) for reject in rejects] == [
            (Reason.BAD_PROFILE, "$.user_identities.email"),
            (Reason.BAD_EVENT, "$.events[1].data.timestamp_unixtime_ms"),
            (Reason.BAD_EVENT, "$.events[2].data.event_name"),
        ]
