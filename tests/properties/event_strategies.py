"""Random events of every kind, and the events that the criteria of a definition file ask for."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.properties.recount_events import EVENT_SUBJECTS
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
    """Events of the criterion's subject; whether its conditions hold is left to chance."""
    match criterion:
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


def criteria_in(node: Json) -> list[Json]:
    """Every event criterion of the definitions, wherever it stands."""
    if isinstance(node, list):
        return [found for one in node for found in criteria_in(one)]
    if not isinstance(node, dict):
        return []
    here = [node] if any(subject in node for subject in EVENT_SUBJECTS) else []
    return here + [found for one in node.values() for found in criteria_in(one)]


def events_for(definitions: Json) -> st.SearchStrategy[Json]:
    """Mostly events that some criterion reads, and some of every other kind."""
    criteria = criteria_in(definitions)
    if not criteria:
        return bare_events
    return st.one_of(bare_events, *[st.sampled_from(criteria).flatmap(asked_for)] * 3)
