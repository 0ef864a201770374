"""Every event type of the batch format, and what the engine gets of it."""

import pytest

from cdp_stream.core.model import subject
from cdp_stream.formats.event_types import READERS
from tests.formats.records import batch_of, decode


def kind_and_name(event_type, data):
    [event] = batch_of(
        decode({"mpid": 7, "events": [{"event_type": event_type, "data": data}]})
    ).events
    return event.kind, event.name


CASES = [
    ("session_start", {}, (subject.SESSION, "start")),
    ("session_end", {"session_duration_ms": 5}, (subject.SESSION, "end")),
    ("screen_view", {"screen_name": "Home"}, (subject.SCREEN_VIEW, "Home")),
    ("custom_event", {"event_name": "Play Video"}, (subject.EVENT, "Play Video")),
    ("custom_event", {"event_name": ""}, (subject.EVENT, "")),
    ("custom_event", {"event_name": "ü" * 256}, (subject.EVENT, "ü" * 256)),
    ("crash_report", {"severity": "error", "message": "m"}, (subject.CRASH, "")),
    ("opt_out", {"is_opted_out": True}, (subject.OPT_OUT, "out")),
    ("opt_out", {"is_opted_out": False}, (subject.OPT_OUT, "in")),
    ("opt_out", {"is_opted_out": "true"}, (subject.UNREAD, "")),
    ("opt_out", {}, (subject.UNREAD, "")),
    ("first_run", {}, (subject.INSTALL, "")),
    ("pre_attribution", {}, (subject.UNREAD, "")),
    ("push_registration", {"register": True}, (subject.UNREAD, "")),
    ("push_message", {"push_message_type": "sent"}, (subject.UNREAD, "")),
    ("push_reaction", {}, (subject.UNREAD, "")),
    ("network_performance", {"url": "https://example.com"}, (subject.UNREAD, "")),
    ("breadcrumb", {"label": "l"}, (subject.UNREAD, "")),
    ("profile", {"profile_event_type": "login"}, (subject.UNREAD, "")),
    ("user_attribute_change", {"user_attribute_name": "a", "new": 1}, (subject.UNREAD, "")),
    ("user_identity_change", {"new": {}, "old": None}, (subject.UNREAD, "")),
    ("uninstall", {}, (subject.UNINSTALL, "")),
    ("application_state_transition", {}, (subject.UNREAD, "")),
    ("commerce_event", {"product_action": {"action": "purchase"}}, (subject.COMMERCE, "purchase")),
]


@pytest.mark.parametrize(("event_type", "data", "expected"), CASES)
def test_an_event_type_is_read_as_its_subject(event_type, data, expected):
    assert kind_and_name(event_type, data) == expected


def test_every_event_type_has_a_case():
    assert {event_type for event_type, _, _ in CASES} == set(READERS)
    assert len(READERS) == 19


@pytest.mark.parametrize(
    ("transition", "first_run", "upgrade", "expected"),
    [
        ("application_initialized", True, True, subject.INSTALL_AND_UPGRADE),
        ("application_initialized", True, False, subject.INSTALL),
        ("application_initialized", None, True, subject.UPGRADE),
        ("application_initialized", False, None, subject.UNREAD),
        ("application_initialized", "true", 1, subject.UNREAD),
        ("application_foreground", True, True, subject.UNREAD),
        ("application_exit", True, True, subject.UNREAD),
        ("application_background", True, True, subject.UNREAD),
        (3, True, True, subject.UNREAD),
    ],
)
def test_only_the_first_start_of_the_app_installs_or_upgrades(
    transition, first_run, upgrade, expected
):
    data = {
        "application_transition_type": transition,
        "is_first_run": first_run,
        "is_upgrade": upgrade,
    }
    assert kind_and_name("application_state_transition", data) == (expected, "")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (
            {"product_action": {"action": "remove_from_wish_list", "products": None}},
            "remove_from_wish_list",
        ),
        (
            {
                "product_action": {
                    "action": "Add_To_Cart",
                    "products": [{"id": 1, "custom_attributes": {"a": 1}}],
                }
            },
            "Add_To_Cart",
        ),
        ({"product_action": None, "promotion_action": {"action": "view"}}, "promotion_view"),
        ({"promotion_action": {"action": "click", "promotions": [{"id": "p"}]}}, "promotion_click"),
        (
            {"product_impressions": [{"product_impression_list": "l", "products": [{"id": "a"}]}]},
            "impression",
        ),
        (
            {
                "product_action": {"action": "purchase"},
                "promotion_action": {"action": "view"},
                "product_impressions": [{}],
            },
            "purchase",
        ),
    ],
)
def test_a_commerce_event_is_named_by_its_action(data, name):
    assert kind_and_name("commerce_event", data) == (subject.COMMERCE, name)


@pytest.mark.parametrize("value", ["text", "", 3, 3.5, True, False, None, "v" * 4096, -(10**18)])
def test_custom_attributes_are_scalars_or_null(value):
    data = {"event_name": "A", "custom_attributes": {"a": value}}
    [event] = batch_of(
        decode({"mpid": 7, "events": [{"event_type": "custom_event", "data": data}]})
    ).events
    assert event.data["custom_attributes"] == {"a": value}


@pytest.mark.parametrize(
    "attributes",
    [None, {}, {str(n): n for n in range(100)}, {"n" * 256: 1}, {"n" * 200: 1, "m" * 200: 2}],
)
def test_custom_attributes_within_the_limits_are_accepted(attributes):
    data = {"event_name": "A", "custom_attributes": attributes, "location": None}
    assert batch_of(
        decode({"mpid": 7, "events": [{"event_type": "custom_event", "data": data}]})
    ).events


@pytest.mark.parametrize(
    ("written", "expected"), [("media", "media"), ("", ""), (None, ""), (3, ""), (["a"], "")]
)
def test_a_custom_event_type_that_is_no_text_is_absent(written, expected):
    data = {"event_name": "A", "custom_event_type": written}
    [event] = batch_of(
        decode({"mpid": 7, "events": [{"event_type": "custom_event", "data": data}]})
    ).events
    assert event.custom_event_type == expected
