"""Criteria on what a profile is: identities, devices, consent, location, attribution, seen."""

import pytest

from cdp_stream.core.model.criterion import DistanceCriterion, Facet, ProfileCriterion
from cdp_stream.core.model.definition import EventTier, Input, Tier, Workspace
from cdp_stream.core.model.event import Facts, ProfilePart
from cdp_stream.core.model.operators import DATED
from cdp_stream.core.model.operators import Test as Operator
from cdp_stream.core.model.row import Row, Space, measure
from cdp_stream.core.model.subject import Subject
from cdp_stream.core.model.windows import Window
from tests.core.accounts import AT, DAY, SHORT, TRAVEL, Profile, audience, batch, event, plan_of

PARIS = {"latitude": 48.8566, "longitude": 2.3522, "city_name": "Paris"}
LYON = {"latitude": 45.764, "longitude": 4.8357, "city_name": "Lyon"}


def checks(facet, key, operator, operand, workspace="travel"):
    test = Operator(operator, operand)
    return ProfileCriterion(facet, workspace, key, test, f"{facet.value}: {key}", "criteria")


def under(*criteria, workspaces=(TRAVEL,)):
    names = "abcdef"
    found = [audience(name, one) for name, one in zip(names, criteria, strict=False)]
    return Profile(plan_of(*found, workspaces=workspaces))


def writes(profile, at=0, source="ios", identities=None, **facts):
    """A batch without events that says these facts."""
    said = Facts(**facts) if facts else None
    part = ProfilePart({}, [], identities or {}, 100, said)
    return profile.applies(batch(arrival=AT + at, source=source, part=part))


def test_an_identity_is_the_accounts():
    mail = checks(Facet.IDENTITY, "email", "ends_with", "@example.com", workspace="")
    profile = under(mail, workspaces=(TRAVEL, SHORT))
    assert writes(profile, source="shop", identities={"email": "Ada@Example.com"}) == []
    # Its first activity in the audience's workspace finds the identity there.
    assert writes(profile, 5) == ["+a@5#0"]
    assert writes(profile, 6, source="shop", identities={"email": None}) == ["-a@6#0"]


@pytest.mark.parametrize("says_more", [True, False])
def test_a_row_with_an_old_spelling_is_brought_up_to_date_by_the_next_batch(says_more):
    """An earlier release kept the name that the SDK had written, and compiled that of the file."""
    known = checks(Facet.IDENTITY, "customer_id", "exists", True, workspace="")
    compiled_then = checks(Facet.IDENTITY, "customerid", "equals", "C1", workspace="")
    profile = under(known, compiled_then)
    assert writes(profile) == []
    profile.row.identities |= {"customerid": "C1", "email": "a@b.c", "other2": "2"}
    weight = profile.row.weight
    found = writes(profile, 5, identities={"other_id_2": "3"} if says_more else None)
    assert found == ["+a@5#0", "+b@5#1"]
    expected = {"customer_id": "C1", "email": "a@b.c", "other_id_2": "3" if says_more else "2"}
    assert profile.row.identities == expected
    assert measure(profile.row) <= profile.row.weight
    assert profile.row.weight > weight
    assert writes(profile, 6) == []


def test_an_identity_under_both_spellings_stays_what_the_spelling_in_use_says():
    profile = under(checks(Facet.IDENTITY, "customer_id", "equals", "new", workspace=""))
    assert writes(profile, identities={"customer_id": "new"}) == ["+a@0#0"]
    profile.row.identities["customerid"] = "old"
    assert writes(profile, 5) == []
    assert profile.row.identities == {"customer_id": "new"}


def test_some_device_must_pass_and_a_newer_info_replaces_the_devices_whole():
    profile = under(
        checks(Facet.DEVICE, "platform", "equals", "iOS"),
        checks(Facet.DEVICE, "brand", "equals", "x"),
    )
    assert profile.does("play", 0) == []
    assert writes(profile, 1, device=("0:1", {"platform": "ios"})) == ["+a@1#0"]
    assert writes(profile, 2, device=("0:2", {"platform": "web", "brand": "X"})) == ["+b@2#0"]
    assert writes(profile, 3, device=("0:1", {"platform": "web"})) == ["-a@3#0"]


@pytest.mark.parametrize(
    ("positive", "negative", "operand"),
    [
        ("equals", "does_not_equal", "ios"),
        ("contains", "does_not_contain", "o"),
        ("pattern", "does_not_match_pattern", "i*"),
        ("one_of", "not_one_of", ("ios", "tvos")),
        ("includes", "does_not_include", "ios"),
        ("exists", "exists", True),
    ],
)
def test_a_negative_test_on_devices_is_the_exact_complement(positive, negative, operand):
    unwanted = False if positive == negative else operand
    profile = under(
        checks(Facet.DEVICE, "platform", positive, operand),
        checks(Facet.DEVICE, "platform", negative, unwanted),
    )
    assert profile.does("play", 0) == ["+b@0#0"]
    assert writes(profile, 1, device=("0:1", {"brand": "y"})) == []
    assert writes(profile, 2, device=("0:2", {"platform": "iOS"})) == ["-b@2#0", "+a@2#1"]
    assert writes(profile, 3, device=("0:2", {"brand": "x"})) == ["-a@3#0", "+b@3#1"]


def test_a_dated_test_on_a_device_changes_by_passing_time():
    last_day = Window(oldest=DAY, newest=0)
    profile = under(checks(Facet.DEVICE, "att_timestamp_unixtime_ms", DATED, last_day))
    assert writes(profile, 0, device=("0:1", {"att_timestamp_unixtime_ms": AT})) == ["+a@0#0"]
    assert profile.waits(3 * DAY) == [f"-a@{DAY + 1}#0"]


def test_the_last_consent_to_a_purpose_counts_and_null_removes_it():
    given = checks(Facet.CONSENT, "gdpr:ads", "is", True)
    unset = checks(Facet.CONSENT, "gdpr:ads", "exists", False)
    sold = checks(Facet.CONSENT, "ccpa", "is", True)
    profile = under(given, unset, sold)
    assert profile.does("play", 0) == ["+b@0#0"]
    assert writes(profile, 1, consent={"gdpr:ads": True, "ccpa": False}) == ["-b@1#0", "+a@1#1"]
    assert writes(profile, 2, consent={"gdpr:ads": False, "ccpa": True}) == ["-a@2#0", "+c@2#1"]
    assert writes(profile, 3, consent={"gdpr:": None}) == ["+b@3#0"]
    assert writes(profile, 4, consent={"ccpa": None}) == ["-c@4#0"]


def test_the_newest_location_counts_whole_whatever_arrives_last():
    near = DistanceCriterion("travel", 48.85, 2.35, 50_000.0, "location", "criteria")
    in_lyon = checks(Facet.LOCATION, "city_name", "equals", "lyon")
    profile = under(near, in_lyon)
    assert writes(profile, 10, location=PARIS) == ["+a@10#0"]
    assert profile.does("play", 5, arrival=11, location=LYON) == []
    assert profile.does("play", 12, location=LYON) == ["-a@12#0", "+b@12#1"]
    assert profile.does("play", 12, location={"city_name": "Nice"}) == ["-b@12#2"]
    assert profile.does("play", 13, location={"accuracy": 5}) == []
    assert profile.row.spaces["travel"].facts["location"] == [AT + 12, {"city_name": "Nice"}]


def test_attribution_is_that_of_the_newest_install_or_uninstall():
    by = checks(Facet.INSTALL_ATTRIBUTION, "publisher", "equals", "news")
    left = checks(Facet.UNINSTALL_ATTRIBUTION, "campaign", "exists", True)
    profile = under(by, left)
    assert writes(profile, 5, attribution={"publisher": "News"}) == ["+a@5#0"]
    custom = {"custom_attributes": {"publisher": "radio", "campaign": "c"}}
    attributed = {"custom_event_type": "attribution", **custom}
    assert profile.does("install", 4, arrival=6, **attributed) == []
    assert profile.does("install", 7, **attributed) == ["-a@7#0"]
    assert profile.does("", 8, kind="uninstall", **custom) == ["+b@8#0"]
    back = {"custom_event_type": "attribution", "custom_attributes": {"publisher": "news"}}
    assert profile.does("home", 9, kind="screen_view", **back) == []
    assert profile.does("home", 10, **back) == ["+a@10#0"]


def test_first_and_last_seen_follow_activity_and_time():
    week = Window(oldest=7 * DAY, newest=0)
    ago = Window(newest=3 * DAY)
    profile = under(
        checks(Facet.FIRST_SEEN, "", DATED, week),
        checks(Facet.LAST_SEEN, "", DATED, ago),
    )
    assert profile.does("play", 0) == ["+a@0#0"]
    assert profile.waits(3 * DAY) == [f"+b@{3 * DAY}#0"]
    assert profile.does("play", 4 * DAY) == [f"-b@{4 * DAY}#0"]
    assert profile.waits(10 * DAY) == [f"+b@{7 * DAY}#0", f"-a@{7 * DAY + 1}#0"]
    # A late event makes the first activity earlier.
    assert profile.does("play", -5, arrival=0) == []
    assert profile.row.spaces["travel"].first_seen == AT - 5


@pytest.mark.parametrize(
    "location", [{"city_name": "Paris"}, {"latitude": 48.85}, {"latitude": 91, "longitude": 2}]
)
def test_a_location_without_good_coordinates_is_at_no_distance(location):
    anywhere = DistanceCriterion("travel", 0.0, 0.0, 30_000_000.0, "location", "criteria")
    profile = under(anywhere)
    assert writes(profile, location=location) == []
    assert writes(profile, 1, location=PARIS) == ["+a@1#0"]


def test_an_event_of_another_tier_says_nothing_of_the_profile():
    kept = EventTier(Subject("event", "beat"), Tier.PRESERVE)
    workspace = Workspace("travel", None, None, (Input("ios", "travel"),), (kept,))
    profile = under(checks(Facet.LOCATION, "city_name", "exists", True), workspaces=(workspace,))
    assert profile.does("beat", 0, location=PARIS) == []
    assert profile.does("play", 1, location=PARIS) == ["+a@1#0"]


def test_values_of_a_profile_without_activity_are_missing():
    profile = under(checks(Facet.LAST_SEEN, "", DATED, Window(oldest=DAY)))
    (leaf,) = profile.engine.plan.profile_leaves["travel", Facet.LAST_SEEN]
    assert not leaf.holds(Row(1), AT)
    row = Row(1)
    row.spaces["travel"] = Space(AT, AT, {})
    assert leaf.holds(row, AT)


def test_a_duplicate_event_says_nothing():
    profile = under(checks(Facet.LOCATION, "city_name", "equals", "Lyon"))
    profile.does("play", 0, id="m")
    assert profile.does("play", 1, id="m", location=LYON) == []
    assert profile.applies(batch(event("play", AT + 2, location=LYON))) == ["+a@2#0"]
