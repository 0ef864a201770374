"""The recount's reading of each criterion, from everything a profile ever did.

Shares no code with `cdp_stream`: see `recount.py`.
"""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import Any, Protocol

from tests.properties.recount_account import Account, Audience
from tests.properties.recount_calculated import calculate, counts, values_of
from tests.properties.recount_events import (
    READ_EVERY_INPUT,
    Occurrence,
    count_holds,
    in_window,
    product_value,
    products_of,
    subject_matches,
    where_holds,
)
from tests.properties.recount_life import Life, attributed, newest, place
from tests.properties.recount_values import (
    MISSING,
    duration,
    fold,
    in_dates,
    keyed,
    number_of,
    positive_form,
    text_of,
    value_holds,
)

Json = Any
DAY_30 = {"last": "30d"}
METERS = {"m": 1.0, "km": 1_000.0, "mi": 1_609.344}
EARTH_METERS = 6_371_008.8
CITIES = {
    "Paris, FR": (48.8566, 2.3522),
    "Berlin, DE": (52.5200, 13.4050),
    "New York, US": (40.7128, -74.0060),
}
"""Rough places: what is read with them lies far from the edge of the distance."""


class History(Protocol):
    """What criteria read of a profile at an instant."""

    account: Account
    lives: dict[str, Life]
    identities: dict[str, str]

    def now(self) -> int:
        """The clock, epoch ms."""


def criterion_holds(criterion: Json, scope: Audience, history: History) -> bool:  # noqa: PLR0911
    """A criterion with a subject, but for `audience`; groups are the caller's."""
    now = history.now()
    if "cart_abandonment" in criterion:
        return cart_is_abandoned(criterion, scope, history)
    if "sequence" in criterion:
        return sequence_holds(criterion, scope, history)
    if "calculated_attribute" in criterion:
        value = calculated_value(criterion["calculated_attribute"], history)
        return value_holds(criterion, value, now)
    if "identity" in criterion:
        return value_holds(criterion, history.identities.get(criterion["identity"], MISSING), now)
    life = history.lives.get(criterion.get("workspace", scope.workspaces[0]), Life())
    if "user_attribute" in criterion:
        return value_holds(criterion, keyed(life.attributes, criterion["user_attribute"]), now)
    if "device" in criterion:
        positive, wanted = positive_form(criterion)
        field = criterion["device"]
        values = [device.get(field, MISSING) for device in life.devices.values()]
        return any(value_holds(positive, value, now) for value in values) == wanted
    if "consent" in criterion:
        return consent_holds(criterion, life)
    if "first_seen" in criterion or "last_seen" in criterion:
        return seen_holds(criterion, life, now)
    if "location" in criterion:
        return location_holds(criterion, newest(life.locations), now)
    if "install_attribution" in criterion:
        stored = attributed(newest(life.installs), criterion["install_attribution"])
        return value_holds(criterion, stored, now)
    if "uninstall_attribution" in criterion:
        stored = attributed(newest(life.uninstalls), criterion["uninstall_attribution"])
        return value_holds(criterion, stored, now)
    return event_criterion_holds(criterion, scope, history)


# events


def reachable(criterion: Json, scope: Audience, history: History, when: Json) -> list[Occurrence]:
    """The events of the workspaces and inputs that the criterion reads, in its window; each is cut
    by the lookback of its own workspace.
    """
    workspaces = [criterion["workspace"]] if "workspace" in criterion else scope.workspaces
    inputs = criterion.get("inputs", scope.inputs)
    if any(subject in criterion for subject in READ_EVERY_INPUT):
        inputs = history.account.inputs_of(workspaces)
    return [
        one
        for space in workspaces
        if space in history.lives
        for one in history.lives[space].history
        if one.input in inputs and in_window(when, scope.lookbacks[space], one.time, history.now())
    ]


def event_criterion_holds(criterion: Json, scope: Audience, history: History) -> bool:
    """semantics.md, Counts."""
    counted = [
        one
        for one in reachable(criterion, scope, history, criterion.get("when", DAY_30))
        if subject_matches(criterion, one.event) and where_holds(criterion.get("where", []), one)
    ]
    return count_holds(criterion.get("count", {"greater_than": 0}), len(counted))


def sequence_holds(criterion: Json, scope: Audience, history: History) -> bool:
    """Some events in the order of the steps, each later than the one before, the last no more than
    `within` after the first.
    """
    own = {key: criterion[key] for key in ("workspace", "inputs") if key in criterion}
    steps = [
        [
            one.time
            for one in reachable({**own, **step}, scope, history, criterion.get("when", DAY_30))
            if subject_matches(step, one.event) and where_holds(step.get("where", []), one)
        ]
        for step in criterion["sequence"]
    ]
    within = duration(criterion["within"])
    return any(_goes_on(steps[1:], first, first + within) for first in steps[0])


def _goes_on(steps: list[list[int]], after: int, latest: int) -> bool:
    if not steps:
        return True
    return any(_goes_on(steps[1:], time, latest) for time in steps[0] if after < time <= latest)


# cart


def cart_is_abandoned(criterion: Json, scope: Audience, history: History) -> bool:
    """semantics.md, Cart abandonment."""
    asked = criterion["cart_abandonment"]
    closing = asked.get("closing", ["purchase"])
    conditions = criterion.get("where", [])
    events = reachable(criterion, scope, history, "any_time")
    added = [
        (one.time, product)
        for one in events
        if action_of(one) == "add_to_cart"
        for product in matching_products(conditions, one)
    ]
    removed = [
        (one.time, product)
        for one in events
        if action_of(one) == "remove_from_cart"
        for product in matching_products(conditions, one)
    ]
    closed = [
        one.time
        for one in events
        if action_of(one) is not None
        and ("any" in closing or action_of(one) in [fold(action) for action in closing])
    ]
    if not added:
        return False
    newest_add = max(time for time, _ in added)
    if history.now() < newest_add + duration(asked["wait"]):
        return False
    if any(time > newest_add for time in closed):
        return False
    since = max(closed, default=0)
    cart: dict[str, float] = {}
    for sign, happened in ((1, added), (-1, removed)):
        for time, product in happened:
            if time >= since:
                key = product_id(product)
                cart[key] = cart.get(key, 0) + sign * quantity_of(product)
    return any(quantity > 0 for quantity in cart.values())


def action_of(occurrence: Occurrence) -> str | None:
    """The product action of an event."""
    action = (occurrence.event["data"].get("product_action") or {}).get("action")
    return None if action is None else fold(action)


def matching_products(conditions: list[Json], occurrence: Occurrence) -> list[Json]:
    """The products of an event that meet every condition."""
    return [
        product
        for product in products_of(occurrence.event["data"])
        if all(value_holds(c, product_value(c, product), occurrence.time) for c in conditions)
    ]


def product_id(product: Json) -> str:
    """What tells a product in the cart apart, ignoring case; products without an id are one."""
    return fold(text_of(product.get("id")) or "")


def quantity_of(product: Json) -> float:
    """How many; one where that is not said."""
    number = number_of(product.get("quantity"))
    return 1 if number is None else number


# calculated attributes


def calculated_value(attribute_id: str, history: History) -> Json:
    """A calculated attribute at this instant; MISSING where it has none."""
    entry = history.account.calculated[attribute_id]
    scope = history.account.scope_of_calculated(attribute_id)
    when: Json = "any_time"
    if "within" in entry:
        when = {"last": entry["within"]}
    elif "since" in entry:
        when = {"after": entry["since"]}
    counted = [
        one
        for one in reachable({}, scope, history, when)
        if subject_matches(entry["of"], one.event) and counts(entry["of"], one)
    ]
    return calculate(entry["calculation"], values_of(entry["of"], counted))


# the profile


def consent_holds(criterion: Json, life: Life) -> bool:
    """definitions.md, consent: the latest of a regulation and purpose; ccpa has one purpose."""
    asked = criterion["consent"]
    purpose = asked.get("purpose", "data_sale_opt_out")
    consented = life.consents.get((asked["regulation"], fold(purpose)))
    wanted = {
        "given": True,
        "rejected": False,
        "opted_out": True,
        "not_opted_out": False,
        "unset": None,
    }
    return consented is wanted[criterion["state"]]


def seen_holds(criterion: Json, life: Life, now: int) -> bool:
    """The first or last instant of activity, not cut by any lookback."""
    if not life.activity:
        return False
    if "first_seen" in criterion:
        test, moment = criterion["first_seen"], min(life.activity)
    else:
        test, moment = criterion["last_seen"], max(life.activity)
    ((operator, operand),) = test.items()
    return in_dates(operator, operand, moment, now)


def location_holds(criterion: Json, location: Json, now: int) -> bool:
    """A field of the newest location, or how far its coordinates are from a point."""
    asked = criterion["location"]
    if not isinstance(asked, dict):
        return value_holds(criterion, place(location, asked), now)
    if not location or location.get("latitude") is None or location.get("longitude") is None:
        return False
    of = CITIES[asked["of"]] if isinstance(asked["of"], str) else asked["of"]
    text = asked["within"]
    unit = "km" if text.endswith("km") else "mi" if text.endswith("mi") else "m"
    most = float(text.removesuffix(unit)) * METERS[unit]
    return meters_between((location["latitude"], location["longitude"]), of) <= most


def meters_between(one: Json, other: Json) -> float:
    """The great circle between two points in degrees, on a sphere."""
    (south, west), (north, east) = one, other
    across = sin(radians(north - south) / 2) ** 2
    along = sin(radians(east - west) / 2) ** 2
    chord = across + cos(radians(south)) * cos(radians(north)) * along
    return 2 * EARTH_METERS * asin(sqrt(min(1.0, chord)))
