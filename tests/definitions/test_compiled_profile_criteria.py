"""What good criteria about the profile mean to the engine: subjects, tests, places."""

import pytest

from cdp_stream.core.model.criterion import (
    CalculatedCriterion,
    DistanceCriterion,
    Facet,
    ProfileCriterion,
)
from cdp_stream.core.model.operators import DATED
from cdp_stream.core.model.operators import Test as ValueTest
from cdp_stream.core.model.windows import Window
from tests.definitions.definition_texts import audiences_in, expression_of, problems_of

DAY = 86_400_000
SEP_9 = 1_536_451_200_000


@pytest.mark.parametrize(
    ("criteria", "facet", "key", "test", "text"),
    [
        ("device: os_version, equals: '17'", "device", "os_version", ("equals", "17"), None),
        (
            "device: screen_width, at_least: 1000",
            "device",
            "screen_width",
            ("at_least", 1000),
            None,
        ),
        ("device: $Model, exists: true", "device", "$Model", ("exists", True), None),
        ("location: city, equals: Paris", "location", "city_name", ("equals", "Paris"), None),
        ("location: region, equals: IDF", "location", "region_code", ("equals", "IDF"), None),
        ("location: state, equals: OR", "location", "region_code", ("equals", "OR"), None),
        ("location: zip, equals: 7", "location", "postal_code", ("equals", 7), None),
        ("location: postal_code, equals: 7", "location", "postal_code", ("equals", 7), None),
        ("location: dma, one_of: [501]", "location", "dma_code", ("one_of", (501,)), None),
        ("location: country, exists: false", "location", "country_code", ("exists", False), None),
        (
            "install_attribution: publisher, contains: x",
            "install_attribution",
            "publisher",
            ("contains", "x"),
            None,
        ),
        (
            "uninstall_attribution: campaign, not_one_of: [x, y]",
            "uninstall_attribution",
            "campaign",
            ("not_one_of", ("x", "y")),
            None,
        ),
        (
            "consent: {regulation: gdpr, purpose: Ads Straße}, state: given",
            "consent",
            "gdpr:ads strasse",
            ("is", True),
            "consent: gdpr (Ads Straße)",
        ),
        (
            "consent: {regulation: GDPR, purpose: p}, state: rejected",
            "consent",
            "gdpr:p",
            ("is", False),
            "consent: gdpr (p)",
        ),
        (
            "consent: {regulation: gdpr, purpose: p}, state: unset",
            "consent",
            "gdpr:p",
            ("exists", False),
            "consent: gdpr (p)",
        ),
        (
            "consent: {regulation: ccpa}, state: opted_out",
            "consent",
            "ccpa",
            ("is", True),
            "consent: ccpa",
        ),
        (
            "consent: {regulation: ccpa}, state: not_opted_out",
            "consent",
            "ccpa",
            ("is", False),
            "consent: ccpa",
        ),
        (
            "consent: {regulation: ccpa}, state: unset",
            "consent",
            "ccpa",
            ("exists", False),
            "consent: ccpa",
        ),
        (
            "first_seen: {last: 60d}",
            "first_seen",
            "",
            (DATED, Window(oldest=60 * DAY, newest=0)),
            "first_seen",
        ),
        (
            "last_seen: {between: [60d, 45d]}",
            "last_seen",
            "",
            (DATED, Window(oldest=60 * DAY, newest=45 * DAY)),
            "last_seen",
        ),
        (
            "last_seen: {on: 2018-09-09}",
            "last_seen",
            "",
            (DATED, Window(start=SEP_9, end=SEP_9 + DAY)),
            "last_seen",
        ),
    ],
)
def test_a_test_on_the_profile(
    criteria: str, facet: str, key: str, test: tuple[str, object], text: str | None
) -> None:
    found = expression_of(f"{{{criteria}}}", lookback="10d")
    assert isinstance(found, ProfileCriterion)
    expected = ProfileCriterion(Facet(facet), "main", key, ValueTest(*test), "", "")
    assert found == expected
    assert found.text == (text or criteria.partition(",")[0])
    assert found.path == "criteria"


def test_an_identity_type_may_be_written_as_the_sdks_write_it() -> None:
    assert expression_of("{identity: customerid, exists: true}") == expression_of(
        "{identity: customer_id, exists: true}"
    )
    assert expression_of("{identity: ios_idfa, exists: true}").text == (
        "identity: ios_advertising_id"
    )


def test_an_identity_is_the_accounts_and_not_a_workspaces() -> None:
    plain = expression_of("{identity: email, ends_with: '@example.com'}")
    named = expression_of("{identity: email, ends_with: '@example.com', workspace: main}")
    expected = ProfileCriterion(
        Facet.IDENTITY, "", "email", ValueTest("ends_with", "@example.com"), "", ""
    )
    assert plain == named == expected


@pytest.mark.parametrize(
    ("within", "metres"),
    [
        ("50km", 50_000.0),
        ("50 km", 50_000.0),
        ("800m", 800.0),
        ("0.5km", 500.0),
        ("3mi", 4_828.032),
        ("2.5mi", 4_023.36),
    ],
)
def test_a_distance_is_in_metres(within: str, metres: float) -> None:
    found = expression_of(f"{{location: {{within: {within}, of: [48.85, -2.35]}}}}")
    assert isinstance(found, DistanceCriterion)
    assert (found.workspace, found.latitude, found.longitude) == ("main", 48.85, -2.35)
    assert found.metres == pytest.approx(metres, abs=1e-9)
    assert found.text == f"location: within {within} of 48.85, -2.35"


def test_the_edges_of_coordinates_may_be_named() -> None:
    found = expression_of("{location: {within: 1m, of: [-90, 180]}}")
    assert isinstance(found, DistanceCriterion)
    assert (found.latitude, found.longitude) == (-90.0, 180.0)


def test_a_city_is_its_coordinates() -> None:
    found = expression_of("{location: {within: 50km, of: 'Paris, FR'}}")
    assert isinstance(found, DistanceCriterion)
    assert (found.latitude, found.longitude) == (48.85341, 2.3488)
    assert found.text == "location: within 50km of Paris, FR"
    assert found == expression_of("{location: {within: 50000m, of: PARIS}}")


def test_a_criterion_on_a_calculated_attribute_has_the_attribute_in_it() -> None:
    body = (
        "calculated_attributes:\n"
        "  - {id: ltv, calculation: sum, of: {commerce: purchase, field: total_amount}}\n"
        "audiences:\n"
        "  - {id: a, criteria: {calculated_attribute: ltv, at_least: 3, workspace: main}}\n"
        "  - {id: b, criteria: {calculated_attribute: ltv, last: 3d}}\n"
    )
    audiences = audiences_in(body)
    first, second = audiences["a"].expression, audiences["b"].expression
    assert isinstance(first, CalculatedCriterion)
    assert isinstance(second, CalculatedCriterion)
    assert first.attribute == second.attribute
    assert (first.attribute.id, first.text) == ("ltv", "calculated_attribute: ltv")
    assert first.test == ValueTest("at_least", 3)
    assert second.test == ValueTest(DATED, Window(oldest=3 * DAY, newest=0))


@pytest.mark.parametrize("operator", ["greater_than: 3", "is: true", "last: 3d", "includes: x"])
@pytest.mark.parametrize(
    "subject", ["identity: email", "location: city", "install_attribution: campaign"]
)
def test_what_is_text_takes_text_operators_only(subject: str, operator: str) -> None:
    assert problems_of(f"{{{subject}, {operator}}}") == ["bad-operator"]
