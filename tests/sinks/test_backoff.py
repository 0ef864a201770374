"""How long to wait before a request is made again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.sinks.http.pacing import LEAST_S, MOST_S, asked_s, pause_s, retry_after_s

NOW = 1_700_000_000_000


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_pauses_lie_between_a_tenth_of_a_second_and_half_a_minute(attempt: int, at: float) -> None:
    pause = pause_s(attempt, lambda least, most: least + at * (most - least))
    assert LEAST_S <= pause <= MOST_S


def test_the_longest_pause_doubles() -> None:
    longest = [pause_s(attempt, lambda _least, most: most) for attempt in range(1, 12)]
    assert longest[:4] == [0.2, 0.4, 0.8, 1.6]
    assert longest[-3:] == [MOST_S] * 3


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Tue, 14 Nov 2023 22:13:25 GMT", 5.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
        ("1000000000000000", 3600.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("soon", None),
        ("-3", None),
        ("", None),
        ("1.5", None),
        ("\u0667", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


@given(st.text(max_size=40))
def test_any_header_is_read_or_passed_over(header: str) -> None:
    assert (retry_after_s(header, NOW) or 0) >= 0


@pytest.mark.parametrize(
    ("said", "waited"),
    [(0.0, 0.0), (-7.0, 0.0), (900.0, 900.0), (1.7e12, 3600.0), (float("inf"), 3600.0),
     (float("nan"), None)],
)  # fmt: skip
def test_whatever_a_partner_says_an_hour_is_the_longest(said: float, waited: float | None) -> None:
    assert asked_s(said) == waited
