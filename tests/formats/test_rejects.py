"""How rejected input is handed back: headers, lines, values."""

import json

import pytest

from cdp_stream.formats.rejects import (
    Reason,
    Reject,
    bad_events,
    reject_headers,
    rejected_line,
    too_large_for_profile,
)


def test_headers_are_text():
    reject = Reject(Reason.BAD_EVENT, "$.events[0]: expected ü", b"{}")
    assert reject_headers(reject, "cdp.events", 3, 12_345_678_901) == [
        ("reason", b"bad_event"),
        ("detail", "$.events[0]: expected ü".encode()),
        ("topic", b"cdp.events"),
        ("partition", b"3"),
        ("offset", b"12345678901"),
    ]


def test_a_line_holds_the_line_as_text():
    reject = Reject(Reason.NOT_JSON, "value: expected JSON", b"x")
    text = '{\\"a\\":\ufffd\ufffd \\"ü\\"'
    assert (
        rejected_line(reject, 5, b'{"a":\xff\xfe "\xc3\xbc"')
        == (
            f'{{"line":5,"reason":"not_json","detail":"value: expected JSON","value":"{text}"}}\n'
        ).encode()
    )


@pytest.mark.parametrize(
    "number", ["1e30", "123456789012345678901234567890", "-0.5", "18446744073709551616"]
)
def test_an_event_alone_keeps_its_numbers(number):
    value = f'{{"mpid":7,"events":[1,{{"x":{number}}},3],"z":"ü"}}'.encode()
    (reject,) = bad_events(value, [(1, "no")])
    alone = reject.value
    assert json.loads(alone) == {"mpid": 7, "events": [{"x": json.loads(number)}], "z": "ü"}
    assert list(json.loads(alone)) == ["mpid", "events", "z"]


@pytest.mark.parametrize("odd", ["1e400", "9" * 5000, r'"\ud800"', r'{"\ud800":1.50}', "-0"])
def test_an_event_alone_keeps_what_few_parsers_take(odd):
    value = f'{{"mpid":7,"events":[1,{{"x":{odd}}},"ü"],"z":[1e400]}}'.encode()
    (reject,) = bad_events(value, [(1, "no")])
    assert reject.value == f'{{"mpid":7,"events":[{{"x":{odd}}}],"z":[1e400]}}'.encode()


def test_what_a_profile_has_no_room_for_comes_back_alone():
    value = b'{"mpid":7,"events":["a","b"],"user_attributes":{"k":1}}'
    limit = "expected at most 65536 bytes of profile"
    assert too_large_for_profile(value, [-1, 1], 65_536) == [
        Reject(Reason.PROFILE_TOO_LARGE, f"$: {limit}", value),
        Reject(
            Reason.PROFILE_TOO_LARGE,
            f"$.events[1]: {limit}",
            b'{"mpid":7,"events":["b"],"user_attributes":{"k":1}}',
        ),
    ]


def test_a_record_of_many_refused_events_does_not_multiply_without_bound():
    many = list(range(10_000))
    value = json.dumps({"mpid": 7, "events": many, "big": "x" * 60_000}).encode()
    rejects = too_large_for_profile(value, many, 65_536)
    assert len(rejects) == 71
    assert sum(len(reject.value or b"") for reject in rejects) < 5 * 1024 * 1024
    assert json.loads(rejects[-1].value or b"")["events"] == many[70:]
    assert rejects[-1].detail.startswith("$.events[70]: ")
    assert rejects[-1].detail.endswith(" more")
