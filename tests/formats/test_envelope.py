"""Time markers, and JSON that few parsers take."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.formats.envelope import marker_time, parse_object
from cdp_stream.formats.rejects import Reason, Reject
from tests.formats.mutations import values

AT = 1_700_000_000_000
HOUR = 3_600_000


@pytest.mark.parametrize(("key", "value"), [(None, b""), (None, None), (b"", b"")])
def test_a_marker_has_no_key_and_no_value(key, value):
    assert marker_time(key, value, [("time", b"1700000000000")], AT) == 1_700_000_000_000


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"7", b"", [("time", b"5")]),
        (None, b"{}", [("time", b"5")]),
        (None, b"", []),
        (None, b"", [("times", b"5")]),
        *[
            (None, b"", [("time", time)])
            for time in (None, b"", b"-1", b"+1", b" 1", b"1.0", b"253402300800000", b"9" * 400)
        ],
        (None, b"", [("time", "\u0667".encode())]),
    ],
)
def test_other_records_are_no_markers(key, value, headers):
    assert marker_time(key, value, headers, AT) is None


def test_the_last_of_several_times_counts():
    headers = [("time", b"5"), ("time", b"6"), ("trace", b"x")]
    assert marker_time(None, b"", headers, AT) == 6


@pytest.mark.parametrize(("ahead", "is_rejected"), [(HOUR, False), (HOUR + 1, True)])
def test_a_marker_is_held_to_its_records_timestamp_as_a_batch_is(ahead, is_rejected):
    found = marker_time(None, b"", [("time", b"%d" % (AT + ahead))], AT)
    rejected = Reject(
        Reason.FUTURE_TIME,
        f"header time: expected at most an hour after the record's timestamp, {AT}",
        b"",
    )
    assert found == (rejected if is_rejected else AT + ahead)
    # One without a timestamp has nothing to be held to.
    assert marker_time(None, b"", [("time", b"%d" % (AT + ahead))], -1) == AT + ahead


INF = float("inf")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1e400", INF),
        ("-1e400", -INF),
        ("9" * 310, INF),
        ("-" + "9" * 5000, -INF),
        ("[1e400,18446744073709551615,18446744073709551616]", [INF, 2**64 - 1, 2.0**64]),
        ("[1e400,-9223372036854775808,-9223372036854775809]", [INF, -(2**63), -(2.0**63)]),
        (r'"a\ud800"', "a\ufffd"),
        (r'"\uDC00\uD83D\uDE00"', "\ufffd\U0001f600"),
        (r'"\uD83D\uD83D\uDE00"', "\ufffd\U0001f600"),
        (r'"\uD83D\u0041"', "\ufffdA"),
        (r'"\\ud800\udfff"', "\\ud800\ufffd"),
        (r'{"\ud800": 1}', {"\ufffd": 1}),
    ],
)
def test_valid_json_is_read_whatever_its_numbers_and_escapes(written, read):
    found = parse_object(b'{"a":%b}' % written.encode())
    assert isinstance(found, tuple), found
    assert found[0] == {"a": read}
    assert repr(found[0]) == repr({"a": read})


@pytest.mark.parametrize(
    "written",
    [
        *("NaN", "Infinity", "-Infinity", "1e400,", "01e400", "1.e400", "+1e400", "[1e400"),
        *(r'"\ud800', r'"\ud8"', '"\ud800\n"', "\ufeff1e400", "1e400 NaN"),
    ],
)
def test_what_is_no_json_stays_so(written):
    value = b'{"a":%b}' % written.encode("utf-8", "surrogatepass")
    assert parse_object(value).reason is Reason.NOT_JSON


@pytest.mark.parametrize("code", ["utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_are_no_json(code):
    assert parse_object('{"a":1e400}'.encode(code)).reason is Reason.NOT_JSON


def test_depth_is_bounded_before_anything_is_read():
    assert parse_object(b'{"a":1e400,"b":' + b"[" * 64 + b"]" * 64 + b"}").reason is (
        Reason.TOO_LARGE
    )
    assert parse_object(b"[1e400," * 5000).reason is Reason.TOO_LARGE


@given(st.dictionaries(st.text(max_size=4), values, max_size=4), st.booleans())
def test_an_infinity_beside_it_changes_the_reading_of_nothing(members, is_escaped):
    plain = json.dumps(members, ensure_ascii=is_escaped).encode()
    expected = orjson.loads(plain)
    found = parse_object(b'{"a":%b,"b":1e400}' % plain)
    assert isinstance(found, tuple), found
    assert repr(found[0]) == repr({"a": expected, "b": INF})
