"""The recount's reading of events: their times, subjects, conditions, counts and windows.

Shares no code with `cdp_stream`: see `recount.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.properties.recount_values import MISSING, fold, in_dates, keyed, value_holds

Json = Any
ZERO_ID = "00000000-0000-0000-0000-000000000000"
EVENT_SUBJECTS = (
    "event",
    "screen_view",
    "commerce",
    "session",
    "install",
    "upgrade",
    "uninstall",
    "crash",
    "attribution",
)
READ_EVERY_INPUT = ("install", "upgrade", "uninstall", "crash")


def arrival(batch: Json) -> int:
    """The batch's own time, else the greatest event time in it."""
    own = batch.get("timestamp_unixtime_ms")
    if own is not None:
        return int(own)
    return max(int(event["data"]["timestamp_unixtime_ms"]) for event in batch["events"])


def event_time(batch: Json, event: Json) -> int:
    """The event's own time, else its batch's; never later than the arrival."""
    own = event["data"].get("timestamp_unixtime_ms")
    return min(arrival(batch) if own is None else int(own), arrival(batch))


@dataclass
class Occurrence:
    """One accepted event in a profile's history."""

    time: int
    input: str
    personalize: bool
    event: Json
    batch: Json


def named(wanted: str, name: Json) -> bool:
    """`any`, or the same name ignoring case."""
    return wanted == "any" or (isinstance(name, str) and fold(name) == fold(wanted))


def is_start_of_application(event: Json, flag: str) -> bool:
    """An `application_initialized` transition with the flag set."""
    data = event["data"]
    return (
        event["event_type"] == "application_state_transition"
        and data.get("application_transition_type") == "application_initialized"
        and data.get(flag) is True
    )


def commerce_matches(action: str, data: Json) -> bool:
    """A product action, a promotion view or click, or an impression."""
    product, promotion = data.get("product_action"), data.get("promotion_action")
    if action == "any":
        return True
    if action == "impression":
        return bool(data.get("product_impressions"))
    if action in ("promotion_view", "promotion_click"):
        return bool(promotion) and f"promotion_{fold(promotion['action'])}" == action
    return bool(product) and fold(product["action"]) == fold(action)


def subject_matches(criterion: Json, event: Json) -> bool:
    """Whether an event is of the criterion's subject, whatever its conditions."""
    (subject,) = [key for key in EVENT_SUBJECTS if key in criterion]
    wanted, kind, data = criterion[subject], event["event_type"], event["data"]
    match subject:
        case "event" if isinstance(wanted, dict):
            return (
                kind == "custom_event"
                and named(wanted["name"], data["event_name"])
                and named(wanted.get("custom_event_type", "any"), data.get("custom_event_type"))
            )
        case "event":
            return kind == "custom_event" and named(wanted, data["event_name"])
        case "screen_view":
            return kind == "screen_view" and named(wanted, data["screen_name"])
        case "commerce":
            return kind == "commerce_event" and commerce_matches(wanted, data)
        case "session":
            return bool(kind == f"session_{wanted}")
        case "install":
            return kind == "first_run" or is_start_of_application(event, "is_first_run")
        case "upgrade":
            return is_start_of_application(event, "is_upgrade")
        case "uninstall":
            return bool(kind == "uninstall")
        case "crash":
            return bool(kind == "crash_report")
    return (
        kind == "custom_event"
        and fold(data.get("custom_event_type") or "") == "attribution"
        and named(wanted, data["event_name"])
    )


def products_of(data: Json) -> list[Json]:
    """The products of a product action and of impressions."""
    found = list((data.get("product_action") or {}).get("products") or [])
    for impression in data.get("product_impressions") or []:
        found += impression.get("products") or []
    return found


def condition_value(condition: Json, occurrence: Occurrence) -> Json:
    """What a `where` entry that is not about a product looks at."""
    data, batch = occurrence.event["data"], occurrence.batch
    if "attribute" in condition:
        return keyed(data.get("custom_attributes"), condition["attribute"])
    if "field" in condition:
        name = condition["field"]
        action = data.get("product_action") or {}
        return action[name] if name in action else data.get(name, MISSING)
    if "app" in condition:
        name = {"version": "application_version", "build": "application_build_number"}[
            condition["app"]
        ]
        return (batch.get("application_info") or {}).get(name, MISSING)
    return without_zero_ids(batch.get("device_info") or {}).get(condition["device"], MISSING)


def without_zero_ids(device: Json) -> Json:
    """events.md: an all-zero advertising id counts as absent."""
    return {
        name: value
        for name, value in device.items()
        if not (name.endswith("advertising_id") and value == ZERO_ID)
    }


def product_value(condition: Json, product: Json) -> Json:
    """What a product condition looks at in one product."""
    if "product" in condition:
        return product.get(condition["product"], MISSING)
    return keyed(product.get("custom_attributes"), condition["product_attribute"])


def where_holds(conditions: list[Json], occurrence: Occurrence) -> bool:
    """semantics.md: all for the same event, all product conditions for the same product."""
    about_products = [c for c in conditions if "product" in c or "product_attribute" in c]
    now = occurrence.time
    if not all(
        value_holds(c, condition_value(c, occurrence), now)
        for c in conditions
        if c not in about_products
    ):
        return False
    return not about_products or any(
        all(value_holds(c, product_value(c, product), now) for c in about_products)
        for product in products_of(occurrence.event["data"])
    )


def count_holds(count: Json, number: int) -> bool:
    """semantics.md, Counts."""
    ((operator, operand),) = count.items()
    match operator:
        case "greater_than":
            return bool(number > operand)
        case "at_least":
            return bool(number >= operand)
        case "less_than":
            return bool(number < operand)
        case "at_most":
            return bool(number <= operand)
        case "equals":
            return bool(number == operand)
    return bool(operand[0] <= number <= operand[1])


def in_window(when: Json, lookback: int | None, occurred_at: int, now: int) -> bool:
    """semantics.md, Windows: the `when`, cut by the lookback."""
    if lookback is not None and occurred_at < now - lookback:
        return False
    if when == "any_time":
        return True
    ((operator, operand),) = when.items()
    return in_dates(operator, operand, occurred_at, now)
