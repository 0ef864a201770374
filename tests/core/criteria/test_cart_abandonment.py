"""Abandoned carts: the wait, what closes or empties a cart, and what each product's sum is."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.criteria.cart_abandonment import CartAbandonment
from cdp_stream.core.model import operators
from cdp_stream.core.model.criterion import CartCriterion, Condition, Reach, Source
from cdp_stream.core.model.row import FOREVER, Row
from cdp_stream.core.model.subject import Subject
from cdp_stream.core.model.windows import Window
from tests.core.accounts import batch, event
from tests.core.criteria.timeline import Timeline, ends, reads, state_size

PURCHASE = frozenset({"purchase"})
SHOES = (Condition(Source.PRODUCT, "category", operators.Test("equals", "shoes")),)
NAMES = {"add": "add_to_cart", "remove": "remove_from_cart"}


def cart(wait=10, closing=PURCHASE, lookbacks=(100,), where=()):
    """A criterion in the workspaces w0, w1, ..."""
    reaches = tuple(
        Reach(f"w{place}", Window(oldest=lookback), None)
        for place, lookback in enumerate(lookbacks)
    )
    return CartAbandonment(CartCriterion(reaches, where, wait, closing, "", ""), "id")


def action(name, at, *products):
    """A product action; products are ids or whole products."""
    name = NAMES.get(name, name)
    whole = [one if isinstance(one, dict) else {"id": one} for one in products]
    data = {"product_action": {"action": name, "products": whole}}
    return event(name, at, kind="commerce", **data)


def many(product_id, quantity):
    return {"id": product_id, "quantity": quantity}


def row_after(leaf, *events, clock=0):
    """A row after events in this order, or of (workspace, event); the clock is the newest."""
    row, at = Row(1), clock
    for one in events:
        place, happened = one if isinstance(one, tuple) else (0, one)
        at = max(at, happened.occurred_at)
        leaf.memories[place].record(row, happened, batch(happened), at)
    return row, at


def abandoned(*events, at=130, **criterion):
    """Whether the cart is abandoned after all of the events."""
    leaf = cart(**criterion)
    row, _ = row_after(leaf, *events, clock=at)
    return leaf.holds(row, at)


def test_it_holds_from_the_end_of_the_wait_until_the_add_leaves_the_lookback():
    leaf = cart()
    row, at = row_after(leaf, action("add", 100, "a"))
    assert [leaf.holds(row, instant) for instant in (109, 110, 200, 201)] == [
        False,
        True,
        True,
        False,
    ]
    assert leaf.next_due(row, at) == 110
    assert ends(leaf, row, at) == [110, 201]


def test_a_later_add_restarts_the_wait():
    leaf = cart()
    row, at = row_after(leaf, action("add", 100, "a"), action("add", 109, "b"))
    assert ends(leaf, row, at) == [119, 210]
    row, at = row_after(leaf, action("add", 100, "a"), action("add", 115, "b"))
    assert not leaf.holds(row, 115)
    assert ends(leaf, row, at) == [125, 216]


def test_a_late_earlier_add_does_not():
    leaf = cart()
    row, at = row_after(leaf, action("add", 100, "a"), action("add", 95, "b"), clock=115)
    assert leaf.holds(row, at)


@pytest.mark.parametrize(
    ("closed_at", "holds"), [(99, True), (100, True), (101, False), (110, False), (129, False)]
)
def test_a_closing_action_closes_what_was_added_earlier(closed_at, holds):
    assert abandoned(action("add", 100, "a"), action("purchase", closed_at)) is holds
    assert abandoned(action("purchase", closed_at), action("add", 100, "a")) is holds


def test_a_closing_action_at_the_very_end_of_the_wait_comes_after_it():
    leaf = cart()
    row, _ = row_after(leaf, action("add", 100, "a"))
    assert leaf.holds(row, 110)
    closing = action("purchase", 110)
    leaf.memories[0].record(row, closing, batch(closing), 110)
    assert not leaf.holds(row, 110)


def test_a_closing_action_need_not_concern_the_same_product():
    assert not abandoned(action("add", 100, "a"), action("purchase", 101, "z"))


@pytest.mark.parametrize("name", ["click", "checkout", "refund", "add_to_wishlist", "made_up"])
def test_any_product_action_closes_when_any_does_and_else_none_of_these(name):
    events = action("add", 100, "a"), action(name, 101)
    assert abandoned(*events)
    assert not abandoned(*events, closing=None)
    assert not abandoned(*events, closing=frozenset({name, "purchase"}))


def test_promotions_and_impressions_close_nothing():
    seen = event("promotion_click", 101, kind="commerce", promotion_action={"action": "click"})
    shown = event("impression", 101, kind="commerce", product_impressions=[])
    assert abandoned(action("add", 100, "a"), seen, shown, closing=None)


def test_with_any_closing_each_add_starts_anew_and_a_removal_closes():
    two = action("add", 100, "a"), action("add", 105, "b")
    assert abandoned(*two, closing=None)
    assert not abandoned(*two, action("remove", 105, "b"), closing=None)
    assert abandoned(*two, action("remove", 105, "b"))
    assert not abandoned(*two, action("remove", 106, "z"), closing=None)
    assert abandoned(*two, action("remove", 106, "z"))


def test_removing_what_was_added_empties_the_cart():
    added = action("add", 100, many("a", 2), "b")
    assert abandoned(added, action("remove", 101, "b"), action("remove", 102, "a"))
    assert not abandoned(added, action("remove", 101, "b"), action("remove", 102, many("a", 2)))
    assert not abandoned(added, action("remove", 101, "b", many("a", 3)))


def test_a_removal_counts_whether_it_is_before_at_or_after_the_add():
    for at in (99, 100, 101):
        assert not abandoned(action("add", 100, "a"), action("remove", at, "a"))
        assert not abandoned(action("remove", at, "a"), action("add", 100, "a"))


def test_products_differ_by_id_ignoring_case_and_those_without_one_are_one():
    assert not abandoned(action("add", 100, "Straße"), action("remove", 101, "STRASSE"))
    assert not abandoned(action("add", 100, many(42, 1)), action("remove", 101, "42"))
    assert abandoned(action("add", 100, "a" * 100 + "x"), action("remove", 101, "a" * 100 + "y"))
    assert not abandoned(action("add", 100, "A" * 100), action("remove", 101, "a" * 100))
    assert not abandoned(action("add", 100, {"name": "x"}), action("remove", 101, {"id": None}))


@pytest.mark.parametrize(
    ("added", "removed", "holds"),
    [
        (0.1 + 0.2, 0.3, True),
        ("0.3", 0.3, False),
        (1, "1.0", False),
        (" 2 ", 2, False),
        ("1e3", 1000, False),
        (1.5, 1, True),
        (10**30, 10**30 - 1, True),
        (10**30, 10**30, False),
        (1e300, 1e300, False),
        (0, -1, True),
        (0, 0, False),
        (-1, 0, False),
        (5e-324, 0, True),
        # No numbers: each counts as 1.
        (None, "one", False),
        (True, [7], False),
        ("", {}, False),
        ("1,5", 1, False),
        (float("inf"), 1, False),
        (10**400, 1, False),
        (2, "many", True),
    ],
)
def test_quantities_are_exact_and_what_is_no_number_is_one(added, removed, holds):
    events = action("add", 100, many("a", added)), action("remove", 101, many("a", removed))
    assert abandoned(*events) is holds


def test_three_tenths_are_one_and_two_tenths():
    added = action("add", 100, many("a", 0.1)), action("add", 101, many("a", 0.2))
    assert not abandoned(*added, action("remove", 102, many("a", 0.3)))


def test_a_cart_is_what_was_added_since_the_newest_closing_action():
    events = [
        action("add", 90, many("a", 5)),
        action("purchase", 95),
        action("add", 100, "a"),
    ]
    assert abandoned(*events)
    assert not abandoned(*events, action("remove", 101, "a"))
    assert not abandoned(*reversed(events), action("remove", 101, "a"))


def test_a_late_earlier_closing_action_takes_nothing_back():
    assert not abandoned(action("purchase", 105), action("purchase", 95), action("add", 100, "a"))


def test_what_is_added_or_removed_at_the_instant_of_a_closing_action_is_after_it():
    assert abandoned(action("add", 100, "a"), action("purchase", 100))
    assert abandoned(action("purchase", 100), action("add", 100, "a"))
    assert not abandoned(
        action("remove", 100, "a"), action("purchase", 100), action("add", 101, "a")
    )
    assert abandoned(action("remove", 99, "a"), action("purchase", 100), action("add", 101, "a"))


def test_an_add_without_a_matching_product_is_none():
    assert not abandoned(action("add", 100))
    assert abandoned(action("add", 100, "a"), action("add", 125))
    hat = {"id": "h", "category": "hats"}
    shoe = {"id": "s", "category": "Shoes"}
    assert not abandoned(action("add", 100, hat), where=SHOES)
    assert abandoned(action("add", 100, hat, shoe), where=SHOES)
    assert abandoned(action("add", 100, shoe), action("add", 125, hat), where=SHOES)
    assert abandoned(action("add", 100, shoe), action("remove", 101, "s"), where=SHOES)
    assert not abandoned(action("add", 100, shoe), action("remove", 101, shoe), where=SHOES)


def test_all_conditions_hold_for_the_same_product():
    dear = (*SHOES, Condition(Source.PRODUCT, "price", operators.Test("at_least", 50)))
    shoe, hat = {"id": "s", "category": "shoes", "price": 49}, {"id": "h", "price": 50}
    assert not abandoned(action("add", 100, shoe, hat), where=dear)
    assert abandoned(action("add", 100, {**shoe, "price": 50}), where=dear)


def test_products_of_impressions_are_not_in_the_cart():
    one = action("add", 100)
    one.data["product_impressions"] = [{"products": [{"id": "a"}]}]
    assert not abandoned(one)


def test_a_product_that_leaves_the_lookback_is_no_longer_in_the_cart():
    leaf = cart()
    row, at = row_after(
        leaf, action("add", 100, "a"), action("add", 150, "b"), action("remove", 151, "b")
    )
    assert ends(leaf, row, at) == [160, 201]


def test_a_removal_that_leaves_the_lookback_is_undone():
    leaf = cart()
    row, at = row_after(leaf, action("remove", 100, "a"), action("add", 150, "a"))
    assert ends(leaf, row, at) == [201, 251]


def test_without_an_add_in_the_lookback_a_cart_is_not_abandoned_whatever_its_sums():
    leaf = cart()
    row, at = row_after(leaf, action("add", 100, "a"), action("remove", 150, many("b", -1)))
    assert ends(leaf, row, at) == [201]


def test_a_wait_as_long_as_the_lookback_leaves_one_instant_and_a_longer_one_none():
    leaf = cart(wait=100)
    row, at = row_after(leaf, action("add", 100, "a"))
    assert ends(leaf, row, at) == [200, 201]
    leaf = cart(wait=101)
    row, at = row_after(leaf, action("add", 100, "a"))
    assert ends(leaf, row, at) == []


def test_without_a_lookback_it_holds_for_ever():
    leaf = cart(lookbacks=(None,))
    row, at = row_after(leaf, action("add", 100, "a"))
    assert ends(leaf, row, at) == [110]
    assert leaf.holds(row, 10**15)
    assert leaf.next_due(row, 110) == FOREVER


def test_workspaces_share_one_cart_and_each_keeps_its_own_lookback():
    leaf = cart(lookbacks=(100, 50))
    row, at = row_after(leaf, (0, action("add", 100, "a")), (1, action("purchase", 101)))
    # The add is closed until the closing action has left its own lookback.
    assert ends(leaf, row, at) == [152, 201]
    row, at = row_after(leaf, (1, action("add", 100, "a")), (0, action("remove", 105, "a")))
    assert ends(leaf, row, at) == []
    row, at = row_after(leaf, (1, action("add", 100, "a")), (0, action("add", 105, "a")))
    assert ends(leaf, row, at) == [115, 206]


def test_a_closing_action_of_one_workspace_closes_what_was_added_in_another():
    leaf = cart(lookbacks=(100, 50))
    row, at = row_after(
        leaf,
        (0, action("add", 100, "a")),
        (1, action("purchase", 105)),
        (0, action("add", 110, "b")),
        (1, action("remove", 111, "b")),
    )
    assert not leaf.holds(row, 120)
    # Until it has left its own lookback: then the first add is still there.
    assert ends(leaf, row, at) == [156, 211]


def test_it_reads_adds_removals_and_what_closes():
    (memory,) = cart().memories
    reach = Reach("w0", Window(oldest=100), None)
    assert memory.reads == tuple(
        (reach, Subject("commerce", name))
        for name in ("add_to_cart", "purchase", "remove_from_cart")
    )
    assert reads(memory, action("ADD_to_cart", 1), "ios")
    assert not reads(memory, action("click", 1), "ios")
    (memory,) = cart(closing=None).memories
    assert memory.reads == ((reach, Subject("commerce")),)


def test_names_ignore_case():
    assert abandoned(action("ADD_TO_CART", 100, "a"))
    assert not abandoned(action("ADD_TO_CART", 100, "a"), action("Purchase", 101))


def test_a_closing_action_alone_is_one_number_and_what_it_closed_is_forgotten():
    leaf = cart()
    row, _ = row_after(
        leaf, action("add", 100, "a"), action("purchase", 105), action("add", 104, "b")
    )
    assert list(row.slots.values()) == [105]
    leaf.memories[0].prune(row, 205)
    assert list(row.slots.values()) == [105]
    leaf.memories[0].prune(row, 206)
    assert row.slots == {}


def test_nothing_is_kept_of_what_says_nothing():
    leaf = cart()
    row, _ = row_after(
        leaf, action("add", 100), action("remove", 101), action("add", 1, "a"), clock=102
    )
    assert row.slots == {}
    assert row.weight == Row(1).weight


def test_pruning_drops_what_left_the_lookback():
    leaf = cart()
    row, _ = row_after(leaf, action("add", 100, "a"), action("add", 150, "b"))
    leaf.memories[0].prune(row, 201)
    (state,) = row.slots.values()
    assert len(state[-1]) == 12
    leaf.memories[0].prune(row, 251)
    assert row.slots == {}


def fill(leaf, times, of):
    row, (memory,) = Row(1), leaf.memories
    for time in times:
        one = of(time)
        memory.record(row, one, batch(one), time)
    return row


def test_after_100_000_events_a_line_takes_twelve_bytes_and_products_are_stored_once():
    leaf = cart(lookbacks=(20_000,))
    row = fill(
        leaf,
        range(100_000),
        lambda time: action("add" if time % 3 else "remove", time, f"product-{time % 50}"),
    )
    assert leaf.holds(row, 100_010)
    assert 12 * 20_000 < state_size(row) < 12 * 20_001 + 50 * 30 + 100


def test_products_and_quantities_that_are_no_longer_there_are_not_stored():
    leaf = cart(lookbacks=(200,))
    row = fill(leaf, range(4_000), lambda time: action("add", time, many(f"p{time}", time)))
    assert state_size(row) < 201 * 12 + 4 * 201 * 20


def test_closing_keeps_the_state_small():
    leaf = cart(lookbacks=(None,))
    row = fill(
        leaf,
        range(10_000),
        lambda time: action("add" if time % 10 else "purchase", time, f"p{time}"),
    )
    assert state_size(row) < 9 * 12 + 9 * 25 + 50


def quantity(product):
    """What the tests below write is read here by itself."""
    return {None: 1, "x": 1, "2": 2, 0.1: Fraction(1, 10), "0.3": Fraction(3, 10)}.get(
        product.get("quantity"), product.get("quantity")
    )


def is_abandoned(history, at, wait, closing, lookbacks, category):
    """The rule, read word by word, over all events."""
    seen = [
        one
        for workspace, one in history
        if lookbacks[int(workspace[1:])] is None
        or at - one.occurred_at <= lookbacks[int(workspace[1:])]
    ]
    lines = [
        (one.occurred_at, product["id"].lower(), sign * quantity(product), sign)
        for sign, name in ((1, "add_to_cart"), (-1, "remove_from_cart"))
        for one in seen
        if one.name == name
        for product in one.data["product_action"]["products"]
        if category is None or product["category"] == category
    ]
    adds = [time for time, _, _, sign in lines if sign == 1]
    closings = [
        one.occurred_at
        for one in seen
        if "product_action" in one.data and (closing is None or one.name in closing)
    ]
    if not adds or at - max(adds) < wait or any(time > max(adds) for time in closings):
        return False
    since = max(closings, default=0)
    sums = {}
    for time, product, amount, _ in lines:
        if time >= since:
            sums[product] = sums.get(product, 0) + amount
    return any(total > 0 for total in sums.values())


PRODUCTS = st.lists(
    st.fixed_dictionaries(
        {"id": st.sampled_from(["a", "A", "b"]), "category": st.sampled_from(["shoes", "hats"])},
        optional={"quantity": st.sampled_from([None, "x", 1, 2, "2", 0, -1, 0.1, "0.3"])},
    ),
    max_size=2,
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 1, 2, 4]),
        st.sampled_from([0, 0, 0, 1, 2, 4, 9, 13]),
        st.sampled_from(["add", "add", "add", "remove", "remove", "purchase", "click", "promo"]),
        PRODUCTS,
        st.integers(0, 1),
        st.sampled_from(["", "", "store", "prune"]),
    ),
    max_size=16,
)


@given(
    wait=st.sampled_from([1, 3, 6]),
    closing=st.sampled_from([PURCHASE, PURCHASE, None, frozenset({"click", "remove_from_cart"})]),
    lookbacks=st.sampled_from([(12,), (12,), (5,), (None,), (12, 12), (12, 5), (None, 6)]),
    where=st.sampled_from([(), (), SHOES]),
    steps=STEPS,
)
def test_it_answers_as_the_rule_read_over_all_events_would(wait, closing, lookbacks, where, steps):
    category = "shoes" if where else None
    line = Timeline(
        cart(wait, closing, lookbacks, where),
        lambda history, at: is_abandoned(history, at, wait, closing, lookbacks, category),
        100,
    )
    for step, late, name, products, place, then in steps:
        line.pass_to(line.at + step)
        at = line.at - late
        promotion = {"action": "view", "promotions": []}
        one = (
            event("promotion_view", at, kind="commerce", promotion_action=promotion)
            if name == "promo"
            else action(name, at, *products)
        )
        line.enter(f"w{place % len(lookbacks)}", one)
        if then == "store":
            line.store()
        if then == "prune":
            line.prune()
    line.pass_to(line.at + 16)
