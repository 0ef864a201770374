"""Reads `cart_abandonment: {wait: 2h, closing: [purchase]}`.

Source: docs/definitions.md, criteria; docs/semantics.md, cart abandonment.
"""

from __future__ import annotations

from typing import Final

from cdp_stream.core.model.criterion import CartCriterion, Expression
from cdp_stream.core.model.subject import COMMERCE, Subject
from cdp_stream.definitions.account.subjects import ANY, PRODUCT_ACTIONS
from cdp_stream.definitions.criteria.criterion_keys import takes_only
from cdp_stream.definitions.criteria.event_parts import (
    Named,
    are_read,
    read_conditions,
    read_required_duration,
)
from cdp_stream.definitions.criteria.scope import Place, reaches_of
from cdp_stream.definitions.criteria.windows import ALL_TIME, length_text
from cdp_stream.definitions.criteria.written import Written, read_places
from cdp_stream.definitions.source.nodes import Mapping, Mark, Node, Scalar, Sequence, shown
from cdp_stream.definitions.source.problems import Problems

_ADDED: Final = Subject(COMMERCE, "add_to_cart")
_ADDED_TEXT: Final = "commerce: add_to_cart"
_DEFAULT_CLOSING: Final = frozenset({"purchase"})
_WAIT: Final = "wait"
_CLOSING: Final = "closing"
_KEYS: Final = (_WAIT, _CLOSING)


def read_cart_abandonment(criterion: Written) -> Expression | None:
    """An abandoned cart."""
    problems, node = criterion.problems, criterion.value
    before = len(problems.found)
    takes_only(criterion)
    conditions = read_conditions(criterion, products_only=True)
    places = read_places(criterion)
    if not isinstance(node, Mapping):
        problems.wrong_type(node, criterion.at(), "a mapping", "as `{wait: 2h}`")
        return None
    wait_ms, closing = _read_cart(node, criterion.at(), problems)
    if len(problems.found) > before or wait_ms is None or not places:
        return None
    wait = node.entries[_WAIT].value
    name = Named(_ADDED, _ADDED_TEXT, criterion.mark, criterion.at())
    if not _may_end(wait_ms, wait.mark, criterion, places):
        return None
    if not are_read(criterion, places, [name]):
        return None
    text = f"{criterion.head}: {wait.raw if isinstance(wait, Scalar) else ''}"
    reaches = reaches_of(places, ALL_TIME)
    return CartCriterion(reaches, conditions, wait_ms, closing, text, criterion.path)


def _read_cart(
    node: Mapping, path: str, problems: Problems
) -> tuple[int | None, frozenset[str] | None]:
    """The wait, and what closes the cart."""
    problems.unknown_keys(node, path, _KEYS)
    wait_ms = read_required_duration(node, _WAIT, path, problems)
    written = node.get(_CLOSING)
    if written is None:
        return wait_ms, _DEFAULT_CLOSING
    return wait_ms, _read_closing(written, f"{path}.{_CLOSING}", problems)


def _may_end(wait_ms: int, mark: Mark, criterion: Written, places: tuple[Place, ...]) -> bool:
    """Whether some lookback is as long as the wait; noted where none is."""
    limits = [place.lookback_ms for place in places if place.lookback_ms is not None]
    if len(limits) < len(places) or wait_ms <= max(limits):
        return True
    message = "the wait is longer than the lookback, so no cart is ever abandoned"
    advice = f"the lookback is {length_text(max(limits))}"
    criterion.problems.error("bad-window", mark, f"{criterion.at()}.{_WAIT}", message, advice)
    return False


def _read_closing(node: Node, path: str, problems: Problems) -> frozenset[str] | None:
    """The folded product actions that close a cart; None is every one (or a wrong one)."""
    if isinstance(node, Scalar) and node.value == ANY:
        return None
    if not isinstance(node, Sequence):
        advice = "as `[purchase]`, or `any`"
        problems.wrong_type(node, path, "a list of product actions", advice)
        return None
    if not node.items:
        advice = "leave `closing` out for `[purchase]`"
        problems.error("empty-list", node.mark, path, "the list is empty", advice)
    actions = set()
    for index, item in enumerate(node.items):
        at = f"{path}[{index}]"
        action = problems.text_of(item, at, "a product action")
        if action is not None and action.casefold() not in (*PRODUCT_ACTIONS, ANY):
            message = f"`{shown(action)}` is not a valid product action"
            problems.bad_word(item, at, message, (*PRODUCT_ACTIONS, ANY))
        elif action is not None:
            actions.add(action.casefold())
    return None if ANY in actions or actions == set(PRODUCT_ACTIONS) else frozenset(actions)
