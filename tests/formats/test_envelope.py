"""Time markers, and text that is too deep to parse."""

import pytest

from cdp_stream.formats.envelope import marker_time


@pytest.mark.parametrize(("key", "value"), [(None, b""), (None, None), (b"", b"")])
def test_a_marker_has_no_key_and_no_value(key, value):
    assert marker_time(key, value, [("time", b"1700000000000")]) == 1_700_000_000_000


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
    assert marker_time(key, value, headers) is None


def test_the_last_of_several_times_counts():
    assert marker_time(None, b"", [("time", b"5"), ("time", b"6"), ("trace", b"x")]) == 6
