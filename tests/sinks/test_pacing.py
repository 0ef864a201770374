"""When requests may go, on a clock of the test's own, and how long after one that failed."""

from __future__ import annotations

import asyncio
import heapq
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.sinks.http.pacing import LEAST_S, MOST_S, Pace, asked_s, pause_s, retry_after_s


class Clock:
    """Goes on as soon as everybody sleeps."""

    def __init__(self) -> None:
        self.at = 0.0
        self._sleeping: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleeping, (self.at + seconds, next(self._numbers), woken))
        await woken

    async def until(self, tasks: list[asyncio.Task[None]]) -> None:
        while not all(task.done() for task in tasks):
            for _ in range(5):
                await asyncio.sleep(0)
            if self._sleeping:
                self.at, _, woken = heapq.heappop(self._sleeping)
                woken.set_result(None)


async def gone(
    per_second: float | None, asked: list[float], holds: list[tuple[float, float]]
) -> list[float]:
    """When requests go that want to at some time, the partner asking to wait at others."""
    clock, went = Clock(), []
    pace = Pace(per_second, now=clock.now, sleep=clock.sleep)

    async def ask(at: float) -> None:
        await clock.sleep(at)
        if not pace.is_free:
            await pace.turn()
        went.append(clock.at)

    async def hold(at: float, seconds: float) -> None:
        await clock.sleep(at)
        pace.hold(seconds)

    works = [*(hold(*one) for one in holds), *(ask(at) for at in asked)]
    await clock.until([asyncio.ensure_future(work) for work in works])
    return went


async def test_requests_are_spread_evenly() -> None:
    assert await gone(2, [0.0] * 4, []) == [0.0, 0.5, 1.0, 1.5]


async def test_what_waited_for_the_end_of_a_hold_is_spread_too() -> None:
    went = await gone(2, [0.0] * 4 + [1.2] * 2, [(0.1, 10.0)])
    assert went == pytest.approx([0.0, 10.1, 10.6, 11.1, 11.6, 12.1])


async def test_a_hold_that_is_prolonged_is_kept_to() -> None:
    went = await gone(10, [0.0] * 3, [(0.05, 1.0), (0.9, 1.0)])
    assert went == pytest.approx([0.0, 1.9, 2.0])


async def test_without_a_limit_all_go_as_a_hold_ends() -> None:
    assert await gone(None, [0.0, 0.5, 0.5, 3.0], [(0.1, 2.0)]) == [0.0, 2.1, 2.1, 3.0]


TIMES = st.integers(0, 40).map(lambda tenths: tenths / 10)


@given(
    st.sampled_from([1.0, 5.0, 20.0]),
    st.lists(TIMES, max_size=30),
    st.lists(st.tuples(TIMES, TIMES), max_size=4),
)
def test_never_more_than_the_limit_and_nothing_while_held(
    per_second: float, asked: list[float], holds: list[tuple[float, float]]
) -> None:
    went = asyncio.run(gone(per_second, asked, holds))
    assert len(went) == len(asked)
    for first, last in itertools.combinations(range(len(went)), 2):
        most = (went[last] - went[first] + 0.1) * per_second + 1
        assert last - first + 1 <= most + 1e-6
    for at, seconds in holds:
        assert not any(at < one < at + seconds - 1e-9 for one in went)


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
