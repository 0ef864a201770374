"""Tests on what a profile has, and the parts of batches that bring values near their edges."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.properties.near_values import near
from tests.properties.recount_events import ZERO_ID
from tests.properties.recount_life import PLACES
from tests.properties.value_strategies import (
    ATTRIBUTES,
    DEVICE_NUMBERS,
    date_tests,
    number_tests,
    text_tests,
    value_tests,
)

Json = Any
IDENTITY_TYPES = ["email", "customer_id", "ios_advertising_id"]
PURPOSES = [["ads", "ADS"], ["ß", "SS"], ["ads", "ADS", "ß"]]
FIELDS = sorted(PLACES)
TEXT_FIELDS_OF_DEVICES = ["platform", "os_version", "device_model"]
CENTRES = [[0, 0], [48.85, 2.35], [90, 0]]
POINTS = [
    *(*CENTRES, [48.8049, 2.1204], [52.52, 13.405], [0, 179.9], [0, -179.9], [-90, 7]),
]
RADII = ["100m", "50km", "500mi", "7000km", "12000mi"]
"""No distance lies within a hundredth of a radius: how round the earth is does not matter."""

purposes = st.shared(st.sampled_from(PURPOSES), key="purposes").flatmap(st.sampled_from)
consents = st.one_of(
    st.builds(
        lambda purpose, state: {
            "consent": {"regulation": "gdpr", "purpose": purpose},
            "state": state,
        },
        purposes,
        st.sampled_from(["given", "rejected", "unset"]),
    ),
    st.sampled_from(["opted_out", "not_opted_out", "unset"]).map(
        lambda state: {"consent": {"regulation": "ccpa"}, "state": state}
    ),
)
distances = st.builds(
    lambda within, of: {"location": {"within": within, "of": of}},
    st.sampled_from(RADII),
    st.sampled_from(CENTRES),
)


def _tests_on(
    subject: str, keys: list[str], tests: st.SearchStrategy[Json]
) -> st.SearchStrategy[Json]:
    return st.builds(lambda key, test: {subject: key, **test}, st.sampled_from(keys), tests)


user_attribute_tests = _tests_on("user_attribute", ATTRIBUTES, value_tests)
device_tests = st.one_of(
    _tests_on("device", TEXT_FIELDS_OF_DEVICES, text_tests),
    _tests_on("device", TEXT_FIELDS_OF_DEVICES, value_tests),
    _tests_on("device", ["screen_width"], number_tests),
    _tests_on(
        "device", ["ios_idfv", "ios_advertising_id"], st.booleans().map(lambda b: {"exists": b})
    ),
    _tests_on("device", ["is_tablet"], st.booleans().map(lambda flag: {"is": flag})),
)
attribution_tests = st.one_of(
    _tests_on("install_attribution", ["publisher", "campaign"], text_tests),
    _tests_on("uninstall_attribution", ["publisher", "campaign"], text_tests),
)
first_seen_tests = date_tests.map(lambda test: {"first_seen": test})
last_seen_tests = date_tests.map(lambda test: {"last_seen": test})
location_tests = st.one_of(_tests_on("location", FIELDS, text_tests), distances)
EVERY_TEST = [
    user_attribute_tests,
    user_attribute_tests,
    device_tests,
    attribution_tests,
    first_seen_tests,
    last_seen_tests,
    location_tests,
    consents,
    _tests_on("identity", IDENTITY_TYPES, text_tests),
]
profile_tests = st.shared(
    st.sampled_from([*[EVERY_TEST] * 4, *([one] for one in EVERY_TEST[1:])]), key="profile tests"
).flatmap(st.one_of)
"""Some cases test one part of the profile alone, so that what is said of it meets the tests."""


class ProfileTests:
    """The tests of a definition file on what profiles have, by subject."""

    def __init__(self, definitions: Json) -> None:
        self.found: dict[str, list[Json]] = {}
        self._collect(definitions)

    def of(self, subject: str) -> list[Json]:
        """The tests with this subject."""
        return self.found.get(subject, [])

    def _collect(self, node: Json) -> None:
        if isinstance(node, list):
            for one in node:
                self._collect(one)
        elif isinstance(node, dict):
            for key, value in node.items():
                self.found.setdefault(key, []).append(node)
                self._collect(value)


def texts_near(draw: st.DrawFn, tests: list[Json], at: int) -> str:
    """A text near the edge of one of the tests, or any."""
    if not tests or draw(st.integers(0, 5)) == 5:
        return draw(st.sampled_from(["a", "A", "ab", "ß", "SS", "42"]))
    values = [one for one in near(draw(st.sampled_from(tests)), at) if isinstance(one, str)]
    return draw(st.sampled_from(values or ["a"]))


def _keyed(tests: list[Json], subject: str, key: str) -> list[Json]:
    return [one for one in tests if one.get(subject) == key]


def draw_identities(draw: st.DrawFn, tests: ProfileTests, at: int) -> Json:
    """Identities as a map or a list; at times numbers, booleans and nulls."""
    pairs = []
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(IDENTITY_TYPES))
        text = texts_near(draw, _keyed(tests.of("identity"), "identity", kind), at)
        unusual = ZERO_ID if kind == "ios_advertising_id" else True
        pairs.append((kind, draw(st.sampled_from([text, text, text, None, 42, unusual]))))
    if draw(st.booleans()):
        return dict(pairs)
    return [{"identity_type": kind, "identity": value} for kind, value in pairs]


def draw_device(draw: st.DrawFn, tests: ProfileTests, at: int) -> Json:
    """A batch's `device_info` and perhaps its stamp."""
    device: Json = {"platform": draw(st.sampled_from(["iOS", "ss"]))}
    wanted = [one for one in tests.of("device") if one["device"] in DEVICE_FIELDS]
    for field in {one["device"] for one in wanted} | {"os_version"}:
        if draw(st.integers(0, 3)) == 3:
            continue
        own = _keyed(wanted, "device", field)
        if field == "screen_width":
            device[field] = draw(st.sampled_from(DEVICE_NUMBERS))
        elif field == "is_tablet":
            device[field] = draw(st.booleans())
        else:
            device[field] = texts_near(draw, own, at)
    parts: Json = {"device_info": device}
    told_apart = draw(st.integers(0, 3))
    if told_apart == 1:
        parts["mp_deviceid"] = draw(st.sampled_from(["s1", "s2"]))
        if draw(st.integers(0, 4)) == 4:
            device.clear()
    elif told_apart == 2:
        device["ios_idfv"] = draw(st.sampled_from(["d1", ZERO_ID]))
    if told_apart >= 2 and draw(st.booleans()):
        device["ios_advertising_id"] = draw(st.sampled_from(["d1", ZERO_ID]))
    return parts


DEVICE_FIELDS = [*TEXT_FIELDS_OF_DEVICES, "screen_width", "is_tablet"]


def draw_consents(draw: st.DrawFn) -> Json:
    """A consent state; at times null for a purpose or a whole regulation."""
    found: Json = {}
    if draw(st.integers(0, 3)):
        found["gdpr"] = {draw(purposes): _consent(draw) for _ in range(draw(st.integers(1, 2)))}
    if not found or draw(st.booleans()):
        found["ccpa"] = {"data_sale_opt_out": _consent(draw)}
    for regulation in found:
        if draw(st.integers(0, 4)) == 4:
            found[regulation] = None
    return found


def _consent(draw: st.DrawFn) -> Json:
    if draw(st.integers(0, 4)) == 4:
        return None
    return {"consented": draw(st.booleans()), "timestamp_unixtime_ms": draw(st.integers(0, 9))}


def draw_location(draw: st.DrawFn, tests: ProfileTests, at: int) -> Json:
    """A location with some fields, coordinates or both; at times with none that is known."""
    found: Json = {"location_source": "unknown"}
    if draw(st.integers(0, 4)) == 4:
        return found
    own = [one for one in tests.of("location") if isinstance(one["location"], str)]
    for field, name in PLACES.items():
        wanted = _keyed(own, "location", field)
        if draw(st.integers(0, 3)) == 3 if not wanted else draw(st.integers(0, 3)):
            text = texts_near(draw, wanted, at)
            found[name] = (int(text) if text.isdecimal() else 7) if field == "dma" else text
    if draw(st.booleans()) or len(found) == 1:
        found["latitude"], found["longitude"] = draw(st.sampled_from(POINTS))
    return found


def draw_attribution(draw: st.DrawFn, tests: ProfileTests, subject: str, at: int) -> Json:
    """The publisher and campaign of an attribution."""
    return {
        key: texts_near(draw, _keyed(tests.of(subject), subject, key), at)
        for key in ("publisher", "campaign")
    }
