"""What passes, what fails, and what a failure shows."""

import gzip
import json
from pathlib import Path

import pytest

from cdp_stream.definition_tests.report import diff_text
from tests.definition_tests.files import HEAD, outcome

BUY = "- {at: 2s, profile: 7, commerce: purchase}\n"


@pytest.mark.parametrize(
    "steps",
    [
        BUY + "- {expect: {buyers: [7], gold: []}}",
        BUY + "- {after: 10s, expect: {buyers: [7]}}\n- {after: 1ms, expect: {buyers: []}}",
        BUY + "- {until: 12s, expect: {buyers: [7]}}\n- {until: 12s 1ms, expect: {buyers: []}}",
        BUY + "- {until: 2026-01-01T00:00:12Z, members: {buyers: [7]}}",
        BUY + "- {until: 1767225612001, not_members: {buyers: [7]}}",
        BUY + "- {profile: 8, commerce: purchase, after: 1s, members: {buyers: [8]}}",
        BUY + "- {profile: -9, commerce: purchase, expect: {buyers: [7, '-9']}}",
        "- {profile: 7, event: Sign Up, at: 0s, expect: {trial/began: [7], trial/rest: [7]}}",
        "- {profile: 7, screen_view: A, at: 0s, input: app}\n"
        "- {profile: 8, screen_view: A, expect: {app-visitors: [7]}}",
        "- {profile: 7, event: A, expect: {gold: []}}",
    ],
)
def test_an_expectation_that_holds_passes(tmp_path: Path, steps: str) -> None:
    assert outcome(tmp_path, steps).passed


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        (
            BUY + "- {after: 10s 1ms, expect: {buyers: [7]}}",
            "line 9: buyers at 2026-01-01T00:00:12.001Z\n  - 7  expected, is not a member",
        ),
        (
            BUY + "- {profile: 8, commerce: purchase, expect: {buyers: [8, 9]}}",
            "line 9: buyers at 2026-01-01T00:00:02Z\n"
            "  + 7  is a member, not expected\n"
            "    8\n"
            "  - 9  expected, is not a member",
        ),
        (
            BUY + "- {not_members: {buyers: [7, 8]}}",
            "line 9: buyers at 2026-01-01T00:00:02Z\n  + 7  is a member, not expected",
        ),
        (
            BUY + "- {members: {buyers: [6]}}",
            "line 9: buyers at 2026-01-01T00:00:02Z\n  - 6  expected, is not a member",
        ),
        (
            BUY + "- changes: {buyers: [{add: 7, at: 3s}]}",
            "line 9: changes of buyers at 2026-01-01T00:00:02Z\n"
            "  - 2026-01-01T00:00:03Z add 7 buyers\n"
            "  + 2026-01-01T00:00:02Z add 7 buyers (event)",
        ),
        (
            BUY + "- {until: 13s, changes: [{add: 7, audience: buyers}]}",
            "line 9: changes of all audiences at 2026-01-01T00:00:13Z\n"
            "    2026-01-01T00:00:02Z add 7 buyers (event)\n"
            "  + 2026-01-01T00:00:12.001Z delete 7 buyers (time)",
        ),
        (
            BUY + "- {changes: [{add: 7, audience: buyers, cause: time}]}",
            "line 9: changes of all audiences at 2026-01-01T00:00:02Z\n"
            "  - at any time add 7 buyers (time)\n"
            "  + 2026-01-01T00:00:02Z add 7 buyers (event)",
        ),
        (
            "- {at: 0s, batch: {mpid: 7, events: [{event_type: nap}]}, rejected: 0}\n"
            "- {expect: {buyers: []}}",
            "line 8: rejected at 2026-01-01T00:00:00Z\n"
            "  - 0 rejected\n"
            "  + 1 rejected\n"
            "  +   bad_event: $.events[0].event_type: expected an event type of the batch format",
        ),
        (
            BUY[:-2] + ", rejected: 1}",
            "line 8: rejected at 2026-01-01T00:00:02Z\n  - 1 rejected\n  + 0 rejected",
        ),
    ],
)
def test_a_failure_shows_what_was_expected_beside_what_is(
    tmp_path: Path, steps: str, shown: str
) -> None:
    found = outcome(tmp_path, steps)
    assert not found.passed
    assert diff_text(found.failures) == shown


def test_changes_are_those_since_the_last_step_that_has_them(tmp_path: Path) -> None:
    steps = (
        BUY + "- changes: [{add: 7, audience: buyers}]\n"
        "- {after: 1s, profile: 7, user_attributes: {plan: gold}, expect: {gold: [7]}}\n"
        "- {until: 20s, changes: [{add: 7, audience: gold, cause: profile},"
        " {delete: 7, audience: buyers, at: 12s 1ms}]}\n"
        "- {after: 1d, changes: []}"
    )
    assert outcome(tmp_path, steps).passed


def test_an_expectation_moves_no_clock(tmp_path: Path) -> None:
    # The purchase that arrives last is late: it happened before the first one left the window. Had
    # looking at 15s made the profile leave, it would have to join again.
    late = "- {at: 16s, profile: 7, commerce: purchase, occurred_at: 11s}\n"
    end = "- {until: 18s, changes: {buyers: [{add: 7, at: 2s}]}}\n"
    assert outcome(tmp_path, BUY + late + end).passed
    looked = "- {until: 15s, expect: {buyers: []}}\n"
    assert outcome(tmp_path, BUY + looked + late + end).passed


def test_a_batch_that_arrives_after_the_instant_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").write_text(
        "".join(
            json.dumps(
                {"mpid": mpid, "timestamp_unixtime_ms": at, "user_attributes": {"plan": "gold"}}
            )
            + "\n"
            for mpid, at in ((1, 1_767_225_601_000), (2, 1_767_225_602_000))
        )
    )
    looks = "- {at: 1s, expect: {gold: [1]}}\n- {at: 2s, expect: {gold: [1, 2]}}"
    assert outcome(tmp_path, "- {batches: ../events.ndjson}\n" + looks).passed


def test_without_a_time_the_instant_is_the_last_arrival(tmp_path: Path) -> None:
    batch = {"mpid": 1, "timestamp_unixtime_ms": 5, "user_attributes": {"plan": "gold"}}
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "events.gz").write_bytes(
        gzip.compress(json.dumps(batch).encode() + b"\n[")
    )
    head = HEAD.replace("start: 2026-01-01\n", "")
    found = outcome(tmp_path, "- {batches: events.gz, rejected: 1, expect: {gold: []}}", head)
    assert diff_text(found.failures) == (
        "line 7: gold at 1970-01-01T00:00:00.005Z\n  + 1  is a member, not expected"
    )


def test_a_whole_batch_has_its_own_time_or_that_of_its_step(tmp_path: Path) -> None:
    steps = (
        "- {at: 1s, batch: {mpid: 1, user_attributes: {plan: gold}}}\n"
        "- batch:\n"
        "    {mpid: 2, timestamp_unixtime_ms: 1767225605000, user_attributes: {plan: gold}}\n"
        "- changes: {gold: [{add: 1, at: 1s}, {add: 2, at: 5s}]}"
    )
    assert outcome(tmp_path, steps).passed
