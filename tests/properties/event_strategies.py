"""Random events of every kind, and the events that the criteria of a definition file ask for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hypothesis import strategies as st

from tests.properties.near_values import near
from tests.properties.profile_strategies import ProfileTests, draw_attribution, draw_location
from tests.properties.recount_calculated import VALUE_KEYS
from tests.properties.recount_events import EVENT_SUBJECTS
from tests.properties.recount_values import OPERATORS
from tests.properties.value_strategies import ACTIONS, EVENT_NAMES, EVENT_TYPES, SCREEN_NAMES, texts

Json = Any

products = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "A", "b", "42"]),
        "brand": st.sampled_from(["ß", "SS"]),
        "price": st.sampled_from([0, 7, 42, 42.0, 0.5]),
        "quantity": st.sampled_from([1, 2, 42]),
        "custom_attributes": st.dictionaries(st.sampled_from(["k", "$V"]), texts, max_size=2),
    },
)
product_lists = st.lists(products, max_size=2)
carted = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.sampled_from(["a", "a", "A", "b"]),
            "quantity": st.sampled_from([1, 1, 2, 0, 0.5, "1", "x"]),
            "brand": st.sampled_from(["ß", "SS"]),
        },
    ),
    max_size=2,
)


def commerce_data(action: str, found: list[Json], total: Json) -> Json:
    """The one part that a commerce event of this action has."""
    if action == "impression":
        return {"product_impressions": [{"product_impression_list": "l", "products": found}]}
    if action.startswith("promotion_"):
        return {
            "promotion_action": {
                "action": action.removeprefix("promotion_"),
                "promotions": [{"id": "p"}],
            }
        }
    return {"product_action": {"action": action, "products": found, **total}, "currency_code": "a"}


def application_event(kind: str, flags: Json) -> Json:
    """An application state transition."""
    return {
        "event_type": "application_state_transition",
        "data": {"application_transition_type": kind, **flags},
    }


def commerce_event(action: str, found: list[Json], total: Json) -> Json:
    """A commerce event with the one part that its action has."""
    return {"event_type": "commerce_event", "data": commerce_data(action, found, total)}


def custom(name: str, kind: str) -> Json:
    """A custom event."""
    return {"event_type": "custom_event", "data": {"event_name": name, "custom_event_type": kind}}


totals = st.fixed_dictionaries(
    {}, optional={"total_amount": st.sampled_from([7, 42]), "transaction_id": st.just("a")}
)
bare_events: st.SearchStrategy[Json] = st.one_of(
    st.builds(custom, st.sampled_from(EVENT_NAMES), st.sampled_from([*EVENT_TYPES, "attribution"])),
    st.sampled_from(SCREEN_NAMES).map(
        lambda name: {"event_type": "screen_view", "data": {"screen_name": name}}
    ),
    st.builds(
        commerce_event,
        st.sampled_from([*ACTIONS, "promotion_view", "promotion_click", "impression"]),
        product_lists,
        totals,
    ),
    st.sampled_from(["session_start", "first_run", "uninstall"]).map(
        lambda kind: {"event_type": kind, "data": {}}
    ),
    st.sampled_from([0, 42]).map(
        lambda ms: {"event_type": "session_end", "data": {"session_duration_ms": ms}}
    ),
    st.sampled_from(["a", "fatal"]).map(
        lambda text: {"event_type": "crash_report", "data": {"severity": text, "message": "ab"}}
    ),
    st.builds(
        application_event,
        st.sampled_from(["application_initialized", "application_exit"]),
        st.fixed_dictionaries(
            {}, optional={"is_first_run": st.booleans(), "is_upgrade": st.booleans()}
        ),
    ),
)


def asked_for(criterion: Json) -> st.SearchStrategy[Json]:
    """Events of the criterion's subject."""
    match criterion:
        case {"cart_abandonment": asked}:
            closing = [one for one in asked.get("closing", ["purchase"]) if one != "any"]
            actions = ["add_to_cart"] * 3 + ["remove_from_cart"] + (closing or ["click"])
            return st.builds(
                commerce_event, st.sampled_from(actions), carted, st.just({"transaction_id": "t"})
            )
        case {"event": {"name": name, "custom_event_type": kind}}:
            return st.just(custom(name, kind))
        case {"event": name}:
            return st.just(custom("View" if name == "any" else name, "other"))
        case {"attribution": name}:
            return st.just(custom("View" if name == "any" else name, "attribution"))
        case {"screen_view": name}:
            screen = "Cart" if name == "any" else name
            return st.just({"event_type": "screen_view", "data": {"screen_name": screen}})
        case {"commerce": action}:
            actions = st.sampled_from(ACTIONS) if action == "any" else st.just(action)
            return st.builds(commerce_event, actions, product_lists, totals)
        case {"session": edge}:
            data = {"session_duration_ms": 42} if edge == "end" else {}
            return st.just({"event_type": f"session_{edge}", "data": data})
        case {"install": _}:
            return st.just(application_event("application_initialized", {"is_first_run": True}))
        case {"upgrade": _}:
            return st.just(application_event("application_initialized", {"is_upgrade": True}))
    return bare_events


def meet_conditions(draw: st.DrawFn, criterion: Json, batch: Json, event: Json) -> None:
    """Give an event, whose time is known, values near the edges of the criterion's conditions."""
    data = event["data"]
    at = data.get("timestamp_unixtime_ms") or batch["timestamp_unixtime_ms"]
    if draw(st.integers(0, 5)) == 5:
        return
    for condition in criterion.get("where", ()):
        if draw(st.integers(0, 4)) == 4:
            continue
        value = draw(st.sampled_from(near(condition, at)))
        match condition:
            case {"attribute": key}:
                data["custom_attributes"] = {**data.get("custom_attributes", {}), key: value}
            case {"field": key}:
                holder = data.get("product_action", data)
                if draw(st.integers(0, 3)) < 3:
                    holder[key] = value
                else:
                    data[key] = value
            case {"product": key}:
                product_of(draw, data)[key] = value
            case {"product_attribute": key}:
                product = product_of(draw, data)
                product["custom_attributes"] = {**product.get("custom_attributes", {}), key: value}
            case {"app": key} if isinstance(value, str):
                name = "application_version" if key == "version" else "application_build_number"
                batch.setdefault("application_info", {})[name] = value
            case {"device": key} if isinstance(value, str):
                batch.setdefault("device_info", {})[key] = value


def product_of(draw: st.DrawFn, data: Json) -> Json:
    """One of the products of a commerce event, new if it has none; no other event shares it."""
    impressions = data.get("product_impressions")
    holder = impressions[0] if impressions else data.get("product_action")
    if holder is None:
        return {}
    found = holder["products"]
    if not found or (len(found) == 1 and draw(st.booleans())):
        found.append({})
    return draw(st.sampled_from(found))


def draw_told(draw: st.DrawFn, tests: ProfileTests, batch: Json, event: Json) -> None:
    """Give an event, whose time is known, a location, or the attribution of its kind."""
    data = event["data"]
    at = data.get("timestamp_unixtime_ms") or batch["timestamp_unixtime_ms"]
    if draw(st.integers(0, 3 if tests.of("location") else 15)) == 0:
        data["location"] = draw_location(draw, tests, at)
    subject = None
    if data.get("custom_event_type") == "attribution":
        subject = "install_attribution"
    elif event["event_type"] == "uninstall":
        subject = "uninstall_attribution"
    if subject and draw(st.integers(0, 3)):
        found = draw_attribution(draw, tests, subject, at)
        data["custom_attributes"] = {**data.get("custom_attributes", {}), **found}


def criteria_in(node: Json) -> list[Json]:
    """Every event criterion and cart of the definitions, wherever it stands."""
    return _nodes_with((*EVENT_SUBJECTS, "cart_abandonment"), node)


def calculated_in(definitions: Json) -> list[Json]:
    """What calculated attributes read, with the tests on each as conditions on its value."""
    entries = {one["id"]: one for one in definitions.get("calculated_attributes", [])}
    found = []
    for test in _nodes_with(("calculated_attribute",), definitions):
        of = entries[test["calculated_attribute"]]["of"]
        own = {key: of[key] for key in VALUE_KEYS if key in of}
        operator = {key: test[key] for key in test if key in OPERATORS}
        if own:
            of = {**of, "where": [*of.get("where", []), {**own, **operator}]}
        found.append(of)
    return found


def _nodes_with(keys: Collection[str], node: Json) -> list[Json]:
    if isinstance(node, list):
        return [found for one in node for found in _nodes_with(keys, one)]
    if not isinstance(node, dict):
        return []
    here = [node] if any(key in node for key in keys) else []
    return here + [found for one in node.values() for found in _nodes_with(keys, one)]
