"""Tests on values of the profile: identities, devices, consent, location, attribution, first and
last seen. They keep nothing: the row has the values.

User attributes have a file of their own (user_attribute.py), because their writes are compared key
by key.
"""

from __future__ import annotations

from typing import Any, Final

from cdp_stream.core.identity_types import one_spelling
from cdp_stream.core.model.criterion import DistanceCriterion, Facet, ProfileCriterion
from cdp_stream.core.model.geo import coordinates_of, distance_m
from cdp_stream.core.model.operators import (
    DATED,
    MISSING,
    Test,
    dated_change,
    dated_test,
    positive_of,
    value_test,
)
from cdp_stream.core.model.row import (
    CONSENT,
    DEVICES,
    FOREVER,
    INSTALL,
    LOCATION,
    UNINSTALL,
    Row,
    Space,
)

_NOTHING: Final[dict[str, Any]] = {}
_NEWEST: Final = {
    Facet.LOCATION: LOCATION,
    Facet.INSTALL_ATTRIBUTION: INSTALL,
    Facet.UNINSTALL_ATTRIBUTION: UNINSTALL,
}
"""Facets whose value is a member of the newest [epoch ms, object]."""


class ProfileValue:
    """A test on one value, or on some of several values, of the profile.

    A negative test is the complement of the positive one on all the values: none of them passes
    that.

    Attributes:
        facet: what it reads; a write of it evaluates this leaf before and after.
        key: of the value within the facet.
        is_dated: whether its value can change by itself.
    """

    __slots__ = (
        "_at", "_is_positive", "_test", "_window", "audiences", "facet", "is_dated", "key",
        "workspace",
    )  # fmt: skip

    def __init__(self, facet: Facet, workspace: str, key: str, test: Test) -> None:
        self.facet = facet
        self.workspace = workspace
        # Definitions that an earlier release compiled may have another spelling.
        self.key = one_spelling(key) if facet is Facet.IDENTITY else key
        self.audiences: tuple[int, ...] = ()
        self.is_dated = test.operator == DATED
        if self.is_dated:
            self._window = test.operand
            self._at = dated_test(test.operand)
        else:
            positive = positive_of(test)
            self._is_positive = positive is None
            self._test = value_test(positive or test)

    def holds(self, row: Row, at: int) -> bool:
        values = self.values(row)
        if self.is_dated:
            return any(self._at(value, at) for value in values)
        return any(map(self._test, values)) is self._is_positive

    def next_due(self, row: Row, after: int) -> int:
        if not self.is_dated:
            return FOREVER
        due = FOREVER
        for value in self.values(row):
            change = dated_change(self._window, value, after)
            if change is not None and change < due:
                due = change
        return due

    def values(self, row: Row) -> tuple[Any, ...] | list[Any]:
        """The values to test: of devices one each, perhaps none; MISSING where a key is absent."""
        facet = self.facet
        if facet is Facet.IDENTITY:
            return (row.identities.get(self.key, MISSING),)
        space = row.spaces.get(self.workspace)
        if facet is Facet.DEVICE:
            devices = _NOTHING if space is None else space.facts.get(DEVICES, _NOTHING)
            return [device.get(self.key, MISSING) for device in devices.values()]
        return (MISSING if space is None else self._value(space),)

    def _value(self, space: Space) -> Any:
        match self.facet:
            case Facet.FIRST_SEEN:
                return space.first_seen
            case Facet.LAST_SEEN:
                return space.last_seen
            case Facet.CONSENT:
                return space.facts.get(CONSENT, _NOTHING).get(self.key, MISSING)
            case _:
                newest = space.facts.get(_NEWEST[self.facet])
                return MISSING if newest is None else newest[1].get(self.key, MISSING)


class WithinDistance:
    """The newest location lies within a distance of a point.

    Source: docs/definitions.md, location.
    """

    __slots__ = ("_latitude", "_longitude", "_metres", "audiences", "workspace")

    facet: Final = Facet.LOCATION
    is_dated: Final = False

    def __init__(self, criterion: DistanceCriterion) -> None:
        self.workspace = criterion.workspace
        self.audiences: tuple[int, ...] = ()
        self._latitude = criterion.latitude
        self._longitude = criterion.longitude
        self._metres = criterion.metres

    def holds(self, row: Row, at: int) -> bool:
        space = row.spaces.get(self.workspace)
        newest = None if space is None else space.facts.get(LOCATION)
        point = None if newest is None else coordinates_of(newest[1])
        if point is None:
            return False
        return distance_m(*point, self._latitude, self._longitude) <= self._metres

    def next_due(self, row: Row, after: int) -> int:
        return FOREVER


def profile_leaf(criterion: ProfileCriterion | DistanceCriterion) -> ProfileValue | WithinDistance:
    """The leaf of a test on the profile, user attributes excepted."""
    if isinstance(criterion, DistanceCriterion):
        return WithinDistance(criterion)
    return ProfileValue(criterion.facet, criterion.workspace, criterion.key, criterion.test)
