"""How rejected input is handed back: headers, lines, values."""

import json

import pytest

from cdp_stream.formats.rejects import (
    Reason,
    Reject,
    reject_headers,
    rejected_line,
    with_event_alone,
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
    assert rejected_line(reject, 5, b'{"a":\xff\xfe "\xc3\xbc"') == (
        f'{{"line":5,"reason":"not_json","detail":"value: expected JSON","value":"{text}"}}\n'.encode()
    )


@pytest.mark.parametrize(
    "number", ["1e30", "123456789012345678901234567890", "-0.5", "18446744073709551616"]
)
def test_an_event_alone_keeps_its_numbers(number):
    value = f'{{"mpid":7,"events":[1,{{"x":{number}}},3],"z":"ü"}}'.encode()
    alone = with_event_alone(value, 1)
    assert json.loads(alone) == {"mpid": 7, "events": [{"x": json.loads(number)}], "z": "ü"}
    assert list(json.loads(alone)) == ["mpid", "events", "z"]
