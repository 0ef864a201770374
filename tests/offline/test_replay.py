"""A replay: what it reads, how far time runs, what it hands back."""

import pytest

from cdp_stream.core.plan.build import build_plan
from cdp_stream.core.plan.plan import Plan
from cdp_stream.definitions import load_text
from cdp_stream.errors import InputError
from cdp_stream.formats.rejects import Reason, Reject
from cdp_stream.offline.replay import Replay
from tests.offline.replaying import replay_batches
from tests.offline.streams import DEFINITIONS, START, batch, changes_of


@pytest.fixture
def plan() -> Plan:
    account = load_text(DEFINITIONS).account
    assert account is not None
    return build_plan(account)


def changes(*lines: bytes, until: int | None = None, input_id: str | None = None):
    end = None if until is None else START + until
    return changes_of(list(replay_batches(DEFINITIONS, lines, end, input_id)))


def test_changes_come_sorted_by_instant_then_profile_as_a_number() -> None:
    assert changes(batch(5, 10), batch(1, 9), batch(1, 100), batch(1, -9)) == [
        ("add", "buyers", "-9", 1),
        ("add", "trial/rest", "-9", 1),
        ("add", "buyers", "9", 1),
        ("add", "trial/rest", "9", 1),
        ("add", "buyers", "100", 1),
        ("add", "trial/rest", "100", 1),
        ("add", "buyers", "10", 5),
        ("add", "trial/rest", "10", 5),
    ]


def test_time_runs_to_the_greatest_arrival_of_any_profile() -> None:
    dropped = ("delete", "buyers", "7", 11)
    assert dropped not in changes(batch(0), batch(10, 8))
    assert dropped in changes(batch(0), batch(11, 8))


def test_time_runs_to_until_and_no_further() -> None:
    dropped = ("delete", "buyers", "7", 11)
    assert dropped not in changes(batch(0), until=10)
    assert dropped in changes(batch(0), until=11)


def test_a_batch_that_arrives_after_until_is_not_read() -> None:
    assert changes(batch(0), batch(5, 8), batch(4, 9), until=4) == [
        ("add", "buyers", "7", 0),
        ("add", "trial/rest", "7", 0),
        ("add", "buyers", "9", 4),
        ("add", "trial/rest", "9", 4),
    ]


def test_batches_of_other_profiles_move_no_clock() -> None:
    # The late event of profile 7 counts for what its own clock says: it has not dropped yet.
    found = changes(batch(0), batch(50, 8), batch(9), until=15)
    assert ("delete", "buyers", "7", 11) not in found


def test_every_batch_comes_by_the_input_that_is_named() -> None:
    lines = [batch(0, api_key="none"), batch(1, api_key="none")]
    assert changes(*lines) == []
    assert ("add", "fans", "7", 1) in changes(*lines, input_id="app")
    assert ("add", "fans", "7", 1) not in changes(*lines, input_id="web")


def test_blank_lines_are_counted_and_skipped(plan: Plan) -> None:
    rejects: list[tuple[int, Reject]] = []
    replay = Replay(plan, on_reject=lambda number, reject: rejects.append((number, reject)))
    for line in (b"", b"  \t\r", batch(0) + b"\r", b"{"):
        replay.feed(line, [])
    assert (replay.lines, replay.events, len(replay.rows)) == (4, 1, 1)
    assert [(number, reject.reason) for number, reject in rejects] == [(4, Reason.NOT_JSON)]


def test_a_bad_event_is_handed_back_and_the_rest_of_its_batch_applied(plan: Plan) -> None:
    rejects: list[Reject] = []
    replay = Replay(plan, on_reject=lambda _number, reject: rejects.append(reject))
    line = batch(0, user_attributes={"status": "vip"}).replace(b'"custom_event"', b'"custom"')
    replay.feed(line, [])
    assert [reject.reason for reject in rejects] == [Reason.BAD_EVENT]
    assert "trial/vip" in replay.rows[7].members


def test_of_a_batch_that_arrives_after_until_nothing_is_handed_back(plan: Plan) -> None:
    handed_back: list[int] = []
    replay = Replay(
        plan, until=START + 4, on_reject=lambda number, _reject: handed_back.append(number)
    )
    for line in (batch(5), batch(4), b"{"):
        replay.feed(line.replace(b'"custom_event"', b'"custom"'), [])
    assert handed_back == [2, 3]


def test_what_a_full_profile_has_no_room_for_is_handed_back(plan: Plan) -> None:
    rejects: list[tuple[int, Reject]] = []
    replay = Replay(plan, on_reject=lambda number, reject: rejects.append((number, reject)))
    for place in range(12):
        parts = {f"k{place}-{number}": "v" * 4000 for number in range(25)}
        replay.feed(batch(place, name=None, user_attributes=parts), [])
    assert {reject.reason for _, reject in rejects} == {Reason.PROFILE_TOO_LARGE}
    assert rejects[0][0] == 6
    assert rejects[0][1].detail == "$: expected at most 524288 bytes of profile"


def test_a_profile_that_is_forgotten_leaves_no_row(plan: Plan) -> None:
    replay = Replay(plan, until=START + 31 * 86_400_000)
    replay.feed(batch(0), [])
    assert replay.finish(lambda _changes: None) == START + 31 * 86_400_000
    assert replay.rows == {}


def test_a_replay_of_nothing_has_no_instant(plan: Plan) -> None:
    assert Replay(plan).finish(lambda _changes: None) is None
    assert Replay(plan, until=5).finish(lambda _changes: None) == 5


def test_definitions_with_problems_are_wrong_input() -> None:
    with pytest.raises(InputError, match="unknown key `audience`"):
        list(replay_batches(DEFINITIONS.replace("audiences:", "audience:"), []))
