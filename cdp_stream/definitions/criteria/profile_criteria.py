"""Reads the criteria that test what is known of a profile, and membership elsewhere.

Source: docs/definitions.md, criteria.
"""

from __future__ import annotations

from typing import Final

from cdp_stream.core.identity_types import IDENTITY_TYPES, one_spelling
from cdp_stream.core.model.criterion import (
    CalculatedCriterion,
    DistanceCriterion,
    Expression,
    Facet,
    MemberOf,
    ProfileCriterion,
)
from cdp_stream.core.model.operators import DATED, Test
from cdp_stream.definitions.criteria.conditions import folded_key
from cdp_stream.definitions.criteria.consents import read_consent_key, read_consent_state
from cdp_stream.definitions.criteria.criterion_keys import LOCATION, takes_only
from cdp_stream.definitions.criteria.places import read_distance
from cdp_stream.definitions.criteria.scope import Reference
from cdp_stream.definitions.criteria.tests_on_values import read_test
from cdp_stream.definitions.criteria.windows import read_seen
from cdp_stream.definitions.criteria.written import (
    WORKSPACE,
    Written,
    read_profile_workspace,
    read_workspace,
)
from cdp_stream.definitions.source.nodes import Mapping, shown

LOCATION_FIELDS: Final = {
    "city": "city_name",
    "region": "region_code",
    "state": "region_code",
    "postal_code": "postal_code",
    "zip": "postal_code",
    "dma": "dma_code",
    "country": "country_code",
}
"""The fields of a location, as written -> as batches have them."""
ATTRIBUTION_FIELDS: Final = ("publisher", "campaign")


def read_user_attribute(criterion: Written) -> Expression | None:
    """`user_attribute: KEY` with an operator."""
    test, key = _read_test(criterion), criterion.text("the key of a user attribute")
    return _profile_criterion(criterion, None if key is None else folded_key(key), test, key)


def read_device(criterion: Written) -> Expression | None:
    """`device: FIELD` with an operator."""
    test, field = _read_test(criterion), criterion.text("a field of `device_info`")
    return _profile_criterion(criterion, field, test, field)


def read_identity(criterion: Written) -> Expression | None:
    """`identity: TYPE` with a text operator; identities are the account's, not a workspace's."""
    test, kind = _read_test(criterion), criterion.text("an identity type, as `email`")
    if kind is not None and (kind := one_spelling(kind)) not in IDENTITY_TYPES:
        message = f"an identity has no type `{shown(kind)}`"
        advice = criterion.problems.near_or_list(kind, IDENTITY_TYPES)
        mark = criterion.value.mark
        criterion.problems.error("bad-value", mark, criterion.at(), message, advice)
    own = read_workspace(criterion)
    if test is None or kind is None or (own is None and WORKSPACE in criterion.node.entries):
        return None
    text = f"{criterion.head}: {kind}"
    return ProfileCriterion(Facet.IDENTITY, "", kind, test, text, criterion.path)


def read_attribution(criterion: Written) -> Expression | None:
    """`install_attribution: publisher` with a text operator, and its like."""
    test, field = _read_test(criterion), criterion.text("`publisher` or `campaign`")
    if field is not None and field not in ATTRIBUTION_FIELDS:
        message = f"an attribution has no `{shown(field)}`"
        advice = criterion.problems.near_or_list(field, ATTRIBUTION_FIELDS)
        mark = criterion.value.mark
        criterion.problems.error("bad-value", mark, criterion.at(), message, advice)
        field = None
    return _profile_criterion(criterion, field, test, field)


def read_consent(criterion: Written) -> Expression | None:
    """`consent: {regulation: gdpr, purpose: P}` with `state: given`, and its like."""
    fine = takes_only(criterion)
    key = read_consent_key(criterion)
    test = read_consent_state(criterion, key)
    shown_as = None
    if key is not None:
        regulation, _, purpose = key.partition(":")
        written = criterion.value.text("purpose") if isinstance(criterion.value, Mapping) else None
        shown_as = f"{regulation} ({written})" if purpose else regulation
    return _profile_criterion(criterion, key, test if fine else None, shown_as)


def read_first_or_last_seen(criterion: Written) -> Expression | None:
    """`first_seen: {last: 7d}`, or `last_seen`; no lookback cuts it."""
    fine = takes_only(criterion)
    window = read_seen(criterion.value, criterion.at(), criterion.problems)
    test = None if window is None or not fine else Test(DATED, window)
    return _profile_criterion(criterion, "", test, None)


def read_location(criterion: Written) -> Expression | None:
    """`location: city` with a text operator, or `location: {within: 50km, of: "Paris, FR"}`."""
    if isinstance(criterion.value, Mapping):
        return _read_distance(criterion, criterion.value)
    test, problems = _read_test(criterion), criterion.problems
    field = criterion.text("a field of the location, or a mapping, as `{within: 50km, of: Paris}`")
    if field is not None and field not in LOCATION_FIELDS:
        message = f"a location has no `{shown(field)}`"
        advice = problems.near_or_list(field, LOCATION_FIELDS)
        problems.error("bad-value", criterion.value.mark, criterion.at(), message, advice)
        field = None
    return _profile_criterion(criterion, field and LOCATION_FIELDS[field], test, field)


def _read_distance(criterion: Written, node: Mapping) -> Expression | None:
    fine = takes_only(criterion, (WORKSPACE,))
    distance = read_distance(node, criterion.at(), criterion.problems)
    workspace = read_profile_workspace(criterion)
    if not fine or distance is None or workspace is None:
        return None
    text = f"{LOCATION}: {distance.text}"
    return DistanceCriterion(
        workspace, distance.latitude, distance.longitude, distance.metres, text, criterion.path
    )


def read_calculated_attribute(criterion: Written) -> Expression | None:
    """`calculated_attribute: ID` with an operator; its workspace is that of the attribute."""
    test, problems = _read_test(criterion), criterion.problems
    own = read_workspace(criterion)
    name = criterion.text("the id of a calculated attribute")
    scope, mark = criterion.scope, criterion.value.mark
    if name is None:
        return None
    known = scope.around.calculated
    if name not in known.by_id and known.complete:
        message = f"there is no calculated attribute `{shown(name)}`"
        advice = problems.near(name, known.by_id) or "define it under `calculated_attributes:`"
        problems.error("unknown-reference", mark, criterion.at(), message, advice)
    attribute = known.by_id.get(name)
    if attribute is None:
        return None
    ids = {workspace.id for workspace in scope.workspaces} if own is None else {own.id}
    if scope.complete and attribute.workspace not in ids:
        message = f"the calculated attribute `{name}` is of workspace `{attribute.workspace}`"
        advice = "a criterion reads the workspaces of its audience, or the one that it names"
        problems.error("workspace-outside-audience", mark, criterion.at(), message, advice)
        return None
    if test is None:
        return None
    return CalculatedCriterion(attribute, test, f"{criterion.head}: {name}", criterion.path)


def read_member_of(criterion: Written) -> Expression | None:
    """`audience: ID`."""
    fine = takes_only(criterion)
    target = criterion.text("the id of an audience, or `journey/milestone`")
    if target is None:
        return None
    reference = Reference(target, criterion.value.mark, criterion.at())
    criterion.scope.references.append(reference)
    return MemberOf(target, f"{criterion.head}: {target}", criterion.path) if fine else None


def _read_test(criterion: Written) -> Test | None:
    """The operator beside a subject; None when anything beside it is wrong."""
    fine = takes_only(criterion)
    at = f"{criterion.scope.prefix}{criterion.path}"
    test = read_test(criterion.node, at, criterion.problems, complain_of_none=fine)
    return test if fine else None


def _profile_criterion(
    criterion: Written, key: str | None, test: Test | None, shown_as: str | None
) -> Expression | None:
    """The criterion in its workspace; `shown_as` is what the subject says, for its short form."""
    workspace = read_profile_workspace(criterion)
    if key is None or test is None or workspace is None:
        return None
    text = f"{criterion.head}: {shown_as}" if shown_as is not None else criterion.head
    return ProfileCriterion(Facet(criterion.head), workspace, key, test, text, criterion.path)
