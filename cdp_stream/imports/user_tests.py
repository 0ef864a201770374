"""Tests of the profile, as user criteria of ours.

Source: docs/importing.md, profile.
"""

from __future__ import annotations

from typing import Any, Final

from cdp_stream.imports import audience_sdk as sdk
from cdp_stream.imports.inexpressible import InexpressibleError
from cdp_stream.imports.value_tests import unary_test, value_test
from cdp_stream.imports.windows import ANCIENT, Bounds, about, bounds_of

_PREFIXES: Final = (
    ("user_attributes.", "user_attribute"),
    ("attributes.", "user_attribute"),
    ("user_identities.", "identity"),
    ("identities.", "identity"),
    ("device_info.", "device"),
    ("device.", "device"),
)
_LOCATION: Final = {
    "city": "city", "city_name": "city", "region": "region", "region_code": "region",
    "state": "region", "postal_code": "postal_code", "zip": "postal_code", "dma": "dma",
    "dma_code": "dma", "country": "country", "country_code": "country",
}  # fmt: skip
_SEEN: Final = ("first_seen", "last_seen")
_IDS: Final = ("id", "mpid")
"""What every row of the profile's model has."""
_EVERYBODY: Final = {"first_seen": {"last": ANCIENT}}
_TEXT_ONLY: Final = ("identity", "location")


def subject_of(path: str) -> dict[str, str]:
    """The subject of ours for a path of the profile; a user attribute unless it has a prefix."""
    for prefix, subject in _PREFIXES:
        if path.startswith(prefix):
            return {subject: path.removeprefix(prefix)}
    head, _, field = path.partition(".")
    if head == "location" and field in _LOCATION:
        return {"location": _LOCATION[field]}
    return {"user_attribute": path}


def user_unary(path: str, operator: str) -> dict[str, Any]:
    """A test whether the profile has a value."""
    if path in (*_IDS, *_SEEN):
        if operator in {"exists", "not_null"}:
            return dict(_EVERYBODY)
        raise InexpressibleError(f"`{operator}` of `{path}`, which every profile has")
    return subject_of(path) | unary_test(operator)


def user_test(path: str, operator: str, right: sdk.Operand) -> tuple[dict[str, Any], str | None]:
    """A test of a value of the profile, and what to note of it.

    Raises:
        InexpressibleError: we have no such test.
    """
    if isinstance(right, sdk.AbsoluteDate | sdk.RelativeDate):
        return _dated(path, operator, right)
    if not isinstance(right, sdk.Constant):
        raise InexpressibleError("a comparison of two fields")
    if path in _IDS:
        raise InexpressibleError("a test of the profile's own id")
    if path in _SEEN:
        raise InexpressibleError(f"`{path}` compared with something that is not a valid date")
    subject = subject_of(path)
    test = value_test(operator, right)
    if next(iter(subject)) in _TEXT_ONLY and not _TEXTUAL.issuperset(test):
        raise InexpressibleError(f"`{operator}` of `{path}`, which is text")
    return subject | test, None


_TEXTUAL: Final = frozenset({
    "equals", "does_not_equal", "contains", "does_not_contain", "starts_with", "ends_with",
    "pattern", "does_not_match_pattern", "one_of", "not_one_of", "exists",
})  # fmt: skip


def _dated(
    path: str, operator: str, when: sdk.AbsoluteDate | sdk.RelativeDate
) -> tuple[dict[str, Any], str | None]:
    bounds = bounds_of(operator, when)
    if bounds == Bounds():
        bounds = Bounds(newest_ago=0)
    window = bounds.window()
    assert window is not None
    notes = [about(when)]
    if path in _SEEN:
        return {path: window}, notes[0]
    subject = subject_of(path)
    if next(iter(subject)) in _TEXT_ONLY:
        raise InexpressibleError(f"a date test of `{path}`, which is text")
    if isinstance(when, sdk.AbsoluteDate) and operator == "equals":
        notes.append("the whole day counts, not its first instant alone")
    if "last" in window:
        notes.append("a date in the future does not count")
    text = "; ".join(note for note in notes if note is not None)
    return subject | window, text or None


def distance_test(path: str, operator: str, location: sdk.Location) -> dict[str, Any]:
    """`location: {within, of}`."""
    if operator != "within" or path != "location" or location.distance is None:
        raise InexpressibleError(f"`{operator}` of `{path}` and a point")
    point = [location.latitude, location.longitude]
    return {"location": {"within": location.distance, "of": point}}
