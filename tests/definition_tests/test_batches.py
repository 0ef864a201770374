"""The short form of a batch is the batch format, written out."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.definition_tests.files import load

AT = 1_767_225_600_000
LATER = 1_767_225_605_000


def written(folder: Path, step: str, head_at: str = "0s") -> dict[str, Any]:
    steps = f"  - name: it\n    steps:\n      - {{at: {head_at}, profile: 7, {step}}}\n"
    loaded = load(folder, steps + "      - {expect: {gold: []}}\n")
    assert loaded.problems == []
    ((line,),) = [s.lines for s in loaded.suites[0].cases[0].steps if s.lines]
    return json.loads(line.content)


def event(event_type: str, **data: Any) -> dict[str, Any]:
    return {"event_type": event_type, "data": {"timestamp_unixtime_ms": AT, **data}}


TRANSITION = {"application_transition_type": "application_initialized"}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            "event: Play Video, attributes: {genre: drama}, id: e1",
            event(
                "custom_event",
                source_message_id="e1",
                custom_attributes={"genre": "drama"},
                event_name="Play Video",
                custom_event_type="other",
            ),
        ),
        (
            "event: {name: Search, custom_event_type: navigation}",
            event("custom_event", event_name="Search", custom_event_type="navigation"),
        ),
        (
            "attribution: Ad",
            event("custom_event", event_name="Ad", custom_event_type="attribution"),
        ),
        ("screen_view: Home", event("screen_view", screen_name="Home")),
        (
            "commerce: purchase, total_amount: 30, coupon_code: X, products: [{id: p, price: 15}]",
            event(
                "commerce_event",
                product_action={
                    "action": "purchase",
                    "products": [{"id": "p", "price": 15}],
                    "total_amount": 30,
                    "coupon_code": "X",
                },
            ),
        ),
        (
            "commerce: promotion_view",
            event("commerce_event", promotion_action={"action": "view"}),
        ),
        (
            "commerce: impression, products: [{id: p}]",
            event("commerce_event", product_impressions=[{"products": [{"id": "p"}]}]),
        ),
        ("session: start", event("session_start")),
        (
            "session: end, fields: {session_duration_ms: 9}",
            event("session_end", session_duration_ms=9),
        ),
        ("install: any", event("application_state_transition", **TRANSITION, is_first_run=True)),
        ("upgrade: any", event("application_state_transition", **TRANSITION, is_upgrade=True)),
        ("uninstall: any", event("uninstall")),
        (
            "crash: any, fields: {severity: low}",
            event("crash_report", severity="low", message="it broke"),
        ),
        (
            "event: X, location: {latitude: 1.5, longitude: 2}",
            event(
                "custom_event",
                location={"latitude": 1.5, "longitude": 2},
                event_name="X",
                custom_event_type="other",
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_event_is_written_out(tmp_path: Path, step: str, expected: dict[str, Any]) -> None:
    batch = written(tmp_path, step)
    assert batch == {"mpid": 7, "timestamp_unixtime_ms": AT, "events": [expected]}


def test_parts_of_the_profile_stand_in_the_batch_under_their_names(tmp_path: Path) -> None:
    parts = {
        "user_attributes": {"plan": "gold"},
        "deleted_user_attributes": ["a"],
        "user_identities": {"email": "a@example.com"},
        "device_info": {"platform": "iOS"},
        "application_info": {"application_version": "2"},
        "consent_state": {"gdpr": {"ads": {"consented": True}}},
        "attribution_info": {"publisher": "p", "campaign": "c"},
        "context": {"location": {"city_name": "Lyon"}},
        "source_request_id": "r1",
        "mp_deviceid": "d",
        "ip": "10.0.0.1",
        "environment": "development",
    }
    step = json.dumps(parts)[1:-1]
    assert written(tmp_path, step) == {"mpid": 7, "timestamp_unixtime_ms": AT, **parts}


def test_several_events_arrive_together_and_may_have_happened_earlier(tmp_path: Path) -> None:
    early = "{event: A, occurred_at: -2s}, {screen_view: B, occurred_at: 1s}"
    step = f"events: [{early}, {{session: start}}]"
    batch = written(tmp_path, step, head_at="5s")
    assert batch["timestamp_unixtime_ms"] == LATER
    times = [event["data"]["timestamp_unixtime_ms"] for event in batch["events"]]
    assert times == [LATER - 2000, AT + 1000, LATER]


def test_a_batch_without_events_is_one(tmp_path: Path) -> None:
    assert written(tmp_path, "input: app") == {"mpid": 7, "timestamp_unixtime_ms": AT}
