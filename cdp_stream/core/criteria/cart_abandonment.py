"""An abandoned cart: something was added, and for so long nothing closed the cart or emptied it.

With `a` the time of the newest matching add, it holds at t when `a + wait <= t`, no closing action
is later than `a`, and the sum of what was added less what was removed since the newest closing
action is above 0 for some product. Adds, removals and closing actions count within the lookback of
their own workspace, so it is a function of the events that do, whatever their order of arrival.

What follows from that, and what is chosen where the rule is silent:
* A closing action at the instant of an add does not close it, and what is added or removed at its
  own instant counts as after it: closing times are later than `a`.
* With `closing: any` every product action closes, also a later add or removal: each add starts a
  cart of its own, and a removal closes the cart, save at the very instant of the add. Promotions
  and impressions are no product actions.
* An add with no product, or none that meets the conditions, is no add. One add may have several
  products; all conditions must hold for the same product.
* Only products of the product action count. Their id identifies them, ignoring case; products
  without an id are one product.
* Quantities are exact: numbers or numeric text, fractions and negative ones included, which are
  summed as they are. What is not a number, or beyond the range of doubles, counts as missing: 1.
* Sums may pass through anything on their way: a removal that is earlier than its add counts as
  well, which is what makes late events exact.

Source: docs/semantics.md, cart abandonment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cdp_stream.core.calculations.decimals import Decimal, decimal_of, plus
from cdp_stream.core.calculations.scalar import short_key_of
from cdp_stream.core.criteria import cart_contents
from cdp_stream.core.criteria.cart_contents import Contents, Line
from cdp_stream.core.criteria.where import compile_product_test
from cdp_stream.core.model.criterion import CartCriterion, Reach
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.meaning import slot_of
from cdp_stream.core.model.operators import text_of
from cdp_stream.core.model.row import FOREVER, NEVER, SLOT_SIZE, TIME_SIZE, Row
from cdp_stream.core.model.subject import COMMERCE, Subject

_ADD: Final = "add_to_cart"
_REMOVE: Final = "remove_from_cart"
_ONE: Final[Decimal] = (1, 0)
_NOTHING: Final[Decimal] = (0, 0)
_NEW_SIZE: Final = SLOT_SIZE + 2 * TIME_SIZE + cart_contents.EMPTY_SIZE


class CartAbandonment:
    """The criterion, over the carts of its workspaces together."""

    __slots__ = ("audiences", "memories", "wait_ms")

    def __init__(self, criterion: CartCriterion, identity: str) -> None:
        self.audiences: tuple[int, ...] = ()
        self.wait_ms = criterion.wait_ms
        self.memories = tuple(
            CartMemory(self, criterion, reach, slot_of(identity, reach.workspace))
            for reach in criterion.reaches
        )

    def holds(self, row: Row, at: int) -> bool:
        added = closed = NEVER
        for memory in self.memories:
            own_added, own_closed = memory.newest(row, at)
            added = max(added, own_added)
            closed = max(closed, own_closed)
        if added == NEVER or at < added + self.wait_ms or closed > added:
            return False
        if len(self.memories) == 1:
            return any(units > 0 for _, (units, _) in self.memories[0].left(row, at, closed))
        sums: dict[str, Decimal] = {}
        for memory in self.memories:
            for product, quantity in memory.left(row, at, closed):
                sums[product] = plus(sums.get(product, _NOTHING), quantity)
        return any(units > 0 for units, _ in sums.values())

    def next_due(self, row: Row, after: int) -> int:
        newest = [memory.newest(row, after) for memory in self.memories]
        waits = [added + self.wait_ms for added, _ in newest if added != NEVER]
        # The newest add is always that of some memory, so nothing holds before the first wait ends.
        if not waits or min(waits) > after:
            return min(waits, default=FOREVER)
        due = min((wait for wait in waits if wait > after), default=FOREVER)
        for memory, (_, closed) in zip(self.memories, newest, strict=True):
            due = min(due, memory.next_leaving(row, after))
            # What an action closed in its own workspace leaves the lookback before it does.
            if closed != NEVER and len(self.memories) > 1:
                due = min(due, closed + memory.oldest + 1)
        return due


class CartMemory:
    """What is kept of the cart in one workspace.

    Only what is not before its newest closing action is kept: everything earlier leaves the
    lookback earlier too. State: the time of that action alone when there is nothing else, else
    `[its time, time of the newest add, *contents]`; NEVER for none.

    Attributes:
        reads: the events that it reads.
        oldest: the lookback, ms; FOREVER when unlimited.
    """

    __slots__ = ("_closing", "_leaf", "_meets", "oldest", "reads", "slot", "workspace")

    def __init__(
        self, leaf: CartAbandonment, criterion: CartCriterion, reach: Reach, slot: str
    ) -> None:
        self.slot = slot
        self.workspace = reach.workspace
        self.oldest = FOREVER if reach.window.oldest is None else reach.window.oldest
        self._leaf = leaf
        self._closing = criterion.closing
        self._meets = compile_product_test(criterion.where)
        names = [None] if self._closing is None else sorted(self._closing | {_ADD, _REMOVE})
        self.reads = tuple((reach, Subject(COMMERCE, name)) for name in names)

    @property
    def leaves(self) -> tuple[CartAbandonment, ...]:
        """The criterion."""
        return (self._leaf,)

    def need(self, event: Event, batch: Batch) -> int:
        return _NEW_SIZE + sum(map(cart_contents.line_size, self._lines(event)))

    def record(self, row: Row, event: Event, batch: Batch, at: int) -> None:
        time = event.occurred_at
        floor = at - self.oldest
        if time < floor or type(event.data.get("product_action")) is not dict:
            return
        name = event.name.casefold()
        closed, added, contents = self._state(row)
        cart_contents.drop(contents, floor)
        if time > closed and (self._closing is None or name in self._closing):
            closed = time
            cart_contents.drop(contents, time)
        grew = 0
        if time >= closed:
            for line in self._lines(event):
                grew += cart_contents.put(contents, time, line)
                if name == _ADD and time > added:
                    added = time
        is_new = self.slot not in row.slots
        self._keep(row, closed, added, contents)
        if is_new and self.slot in row.slots:
            grew += _NEW_SIZE
        row.weight += grew

    def prune(self, row: Row, at: int) -> None:
        closed, added, contents = self._state(row)
        cart_contents.drop(contents, at - self.oldest)
        self._keep(row, closed if closed >= at - self.oldest else NEVER, added, contents)

    def newest(self, row: Row, at: int) -> tuple[int, int]:
        """The times of the newest add that its own workspace has not closed, and of the newest
        closing action; NEVER where there is none within the lookback.
        """
        closed, added, _ = self._state(row)
        floor = at - self.oldest
        return added if added >= floor else NEVER, closed if closed >= floor else NEVER

    def left(self, row: Row, at: int, since: int) -> Iterator[Line]:
        """Each product, and its sum since an instant and within the lookback."""
        _, _, contents = self._state(row)
        return cart_contents.sums_since(contents, max(since, at - self.oldest))

    def next_leaving(self, row: Row, after: int) -> int:
        """The first instant later than `after` at which a line leaves the lookback."""
        _, _, contents = self._state(row)
        first = cart_contents.first_time(contents, after - self.oldest)
        return FOREVER if first is None else min(FOREVER, first + self.oldest + 1)

    def _state(self, row: Row) -> tuple[int, int, Contents]:
        state = row.slots.get(self.slot)
        if type(state) is list:
            return state[0], state[1], state[2:]
        return NEVER if state is None else state, NEVER, cart_contents.empty()

    def _keep(self, row: Row, closed: int, added: int, contents: Contents) -> None:
        if cart_contents.first_time(contents, 0) is not None:
            row.slots[self.slot] = [closed, added if added >= closed else NEVER, *contents]
        elif closed != NEVER:
            row.slots[self.slot] = closed
        else:
            row.slots.pop(self.slot, None)

    def _lines(self, event: Event) -> list[Line]:
        """What an event adds or removes."""
        name = event.name.casefold()
        action = event.data.get("product_action")
        if name not in (_ADD, _REMOVE) or type(action) is not dict:
            return []
        at = event.occurred_at
        return [
            (
                short_key_of(text_of(product.get("id")) or ""),
                _quantity(product, is_add=name == _ADD),
            )
            for product in action.get("products") or ()
            if self._meets(product, at)
        ]


def _quantity(product: dict[str, Any], *, is_add: bool) -> Decimal:
    units, scale = decimal_of(product.get("quantity")) or _ONE
    return (units if is_add else -units), scale
