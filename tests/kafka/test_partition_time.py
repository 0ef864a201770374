"""How far a partition's time may go, rule by rule (semantics.md, Instants)."""

from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.model.row import FOREVER
from cdp_stream.kafka.aiokafka_patches.fetch_observer import EndSeen
from cdp_stream.kafka.runtime.partition_time import latest_time, time_limit


def wall(*, time=1_000, grace_ms=250, applied=9, end=None):
    return time_limit("wall", time=time, grace_ms=grace_ms, applied=applied, end=end)


def test_before_the_end_was_ever_seen_time_stays_at_the_greatest_arrival():
    assert wall(end=None) == 1_000


def test_at_the_end_time_is_when_the_question_was_asked_less_the_grace():
    assert wall(end=EndSeen(asked_at=5_000, after=9)) == 4_750


def test_records_that_had_been_handed_over_but_not_applied_hold_time():
    assert wall(applied=8, end=EndSeen(asked_at=5_000, after=9)) == 1_000


def test_an_answer_older_than_what_was_applied_since_still_counts():
    assert wall(applied=12, end=EndSeen(asked_at=5_000, after=9)) == 4_750


def test_an_empty_partition_follows_the_wall_clock():
    assert wall(time=0, applied=-1, end=EndSeen(asked_at=5_000, after=-1)) == 4_750


def test_a_wall_clock_behind_the_arrivals_moves_nothing_back():
    assert wall(time=9_000, end=EndSeen(asked_at=5_000, after=9)) == 9_000


def test_the_stream_clock_never_takes_the_wall_clock():
    end = EndSeen(asked_at=5_000, after=9)
    assert time_limit("stream", time=1_000, grace_ms=0, applied=9, end=end) == 1_000


@given(
    time=st.integers(0, 10**13), grace=st.integers(0, 10**6), applied=st.integers(-1, 100),
    asked_at=st.integers(0, 10**13), after=st.integers(-1, 100),
)  # fmt: skip
def test_time_never_moves_back_and_never_passes_both_bounds(time, grace, applied, asked_at, after):
    limit = wall(
        time=time, grace_ms=grace, applied=applied, end=EndSeen(asked_at=asked_at, after=after)
    )
    assert time <= limit <= max(time, asked_at - grace)


def test_a_record_moves_time_an_hour_ahead_of_the_wall_clock_at_most():
    assert latest_time("wall", 5) == 3_600_005
    assert latest_time("stream", 5) == FOREVER
