"""What good carts, sequences and calculated attributes mean to the engine."""

import pytest

from cdp_stream.core.model.criterion import (
    CalculatedAttribute,
    Calculation,
    CartCriterion,
    Condition,
    Reach,
    SequenceCriterion,
    Source,
    Step,
)
from cdp_stream.core.model.operators import Test as ValueTest
from cdp_stream.core.model.subject import Subject
from cdp_stream.core.model.windows import Window
from cdp_stream.definitions import load_text
from tests.definitions.definition_texts import HEAD, expression_of

DAY, HOUR = 86_400_000, 3_600_000
NEW_YEAR = 1_767_225_600_000


@pytest.mark.parametrize(
    ("cart", "wait_ms", "closing"),
    [
        ("{wait: 2h}", 2 * HOUR, {"purchase"}),
        ("{wait: 250ms, closing: [Purchase, refund]}", 250, {"purchase", "refund"}),
        ("{wait: 10d, closing: any}", 10 * DAY, None),
        ("{wait: 10d, closing: [purchase, any]}", 10 * DAY, None),
    ],
)
def test_a_cart(cart: str, wait_ms: int, closing: set[str] | None) -> None:
    found = expression_of(f"{{cart_abandonment: {cart}}}", lookback="10d")
    assert isinstance(found, CartCriterion)
    assert (found.wait_ms, found.closing, found.where) == (wait_ms, closing, ())
    assert found.reaches == (Reach("main", Window(oldest=10 * DAY, newest=0), None),)
    assert found.text == f"cart_abandonment: {cart[7:].split(',', maxsplit=1)[0].rstrip('}')}"


def test_a_cart_may_ask_for_a_product_and_inputs() -> None:
    found = expression_of(
        "{cart_abandonment: {wait: 2h}, inputs: [web],"
        " where: [{product: brand, equals: x}, {product_attribute: $Size, exists: true}]}",
        own="lookback: 3d",
    )
    assert isinstance(found, CartCriterion)
    assert found.where == (
        Condition(Source.PRODUCT, "brand", ValueTest("equals", "x")),
        Condition(Source.PRODUCT_ATTRIBUTE, "$size", ValueTest("exists", True)),
    )
    assert found.reaches == (Reach("main", Window(oldest=3 * DAY, newest=0), frozenset({"web"})),)


def test_a_sequence() -> None:
    found = expression_of(
        "{sequence: [{event: Play}, {commerce: purchase, where: [{field: x, exists: true}]},"
        " {event: Play}], within: 2h}",
        own="inputs: [app]",
    )
    assert isinstance(found, SequenceCriterion)
    assert found.steps == (
        Step(Subject("event", "play"), ()),
        Step(
            Subject("commerce", "purchase"),
            (Condition(Source.FIELD, "x", ValueTest("exists", True)),),
        ),
        Step(Subject("event", "play"), ()),
    )
    assert found.within_ms == 2 * HOUR
    assert found.reaches == (Reach("main", Window(oldest=30 * DAY, newest=0), frozenset({"app"})),)
    assert found.text == "sequence: event: Play > commerce: purchase > event: Play"


def test_the_window_of_a_sequence_is_cut_by_the_lookback() -> None:
    found = expression_of(
        "{sequence: [{event: A}, {event: B}], within: 20d, when: any_time}", lookback="10d"
    )
    assert isinstance(found, SequenceCriterion)
    assert found.within_ms == 20 * DAY
    assert found.reaches == (Reach("main", Window(oldest=10 * DAY, newest=0), None),)


def test_an_order_of_steps_is_part_of_what_a_sequence_means() -> None:
    one = expression_of("{sequence: [{event: A}, {event: B}], within: 1h}")
    other = expression_of("{sequence: [{event: B}, {event: A}], within: 1h}")
    assert one != other


def calculated(text: str, lookback: str = "unlimited") -> CalculatedAttribute:
    loaded = load_text(
        HEAD.format(lookback=lookback) + f"calculated_attributes:\n  - {{id: x, {text}}}\n"
    )
    assert loaded.problems == []
    assert loaded.account is not None
    (found,) = loaded.account.calculated_attributes
    return found


def test_a_calculated_attribute() -> None:
    found = calculated(
        "workspace: main, calculation: sum,"
        " of: {commerce: purchase, product_attribute: $Size, where: [{product: brand, equals: a}]}"
    )
    assert found.id == "x"
    assert found == CalculatedAttribute(
        "x",
        "main",
        Calculation.SUM,
        Subject("commerce", "purchase"),
        (Source.PRODUCT_ATTRIBUTE, "$size"),
        (Condition(Source.PRODUCT, "brand", ValueTest("equals", "a")),),
        Window(newest=0),
    )


@pytest.mark.parametrize(
    ("own", "window"),
    [
        ("", Window(oldest=10 * DAY, newest=0)),
        (", within: 3d", Window(oldest=3 * DAY, newest=0)),
        (", within: 90d", Window(oldest=10 * DAY, newest=0)),
        (", since: 2026-01-01", Window(start=NEW_YEAR, oldest=10 * DAY, newest=0)),
    ],
)
def test_the_window_of_a_calculated_attribute(own: str, window: Window) -> None:
    found = calculated(f"calculation: count, of: {{event: A}}{own}", lookback="10d")
    assert (found.workspace, found.value, found.window) == ("main", None, window)


@pytest.mark.parametrize("calculation", list(Calculation))
def test_every_calculation_takes_a_value_and_some_need_one(calculation: Calculation) -> None:
    found = calculated(f"calculation: {calculation}, of: {{event: A, app: version}}")
    assert (found.calculation, found.value) == (calculation, (Source.APP, "version"))
    text = f"calculated_attributes:\n  - {{id: x, calculation: {calculation}, of: {{event: A}}}}\n"
    codes = [problem.code for problem in load_text(HEAD.format(lookback="30d") + text).problems]
    counts_events = calculation == "count" or calculation.endswith("_timestamp")
    assert codes == ([] if counts_events else ["missing-key"])


def test_calculated_attributes_have_a_namespace_of_their_own() -> None:
    loaded = load_text(
        HEAD.format(lookback="30d")
        + "calculated_attributes:\n"
        + "  - {id: main, calculation: count, of: {event: A}}\n"
        + "  - {id: same, calculation: count, of: {event: B}}\n"
        + "audiences:\n  - {id: same, criteria: {calculated_attribute: same, at_least: 1}}\n"
    )
    assert loaded.problems == []
    assert loaded.account is not None
    assert [attribute.id for attribute in loaded.account.calculated_attributes] == ["main", "same"]
