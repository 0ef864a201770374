"""One event of a batch: JSON to `core.model.event.Event`, one reader per event type.

A reader takes the event's `data` and gives (kind, name) or, as text, the problem: the rest of the
JSON path and what was expected there (`.data.event_name: expected text`). Nothing raises on input.

Source: docs/events.md, events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cdp_stream.core.model import subject
from cdp_stream.core.model.event import Event
from cdp_stream.formats import limits
from cdp_stream.formats.envelope import TIME_EXPECTED, digest_of, text_id
from cdp_stream.formats.rejects import child_path

SCALARS: Final = frozenset({str, int, float, bool, type(None)})
SCALAR_EXPECTED: Final = "expected text, a number, a boolean or null"

_GREATEST_TIME = limits.GREATEST_TIME
_EVENT_NAME = limits.EVENT_NAME
_NAME_EXPECTED = f"expected text of at most {limits.EVENT_NAME} characters"
_NUMBERS = (int, float, type(None))

Reading = tuple[str, str] | str
"""(kind, name), or the problem."""


def _named(kind: str, field: str) -> Callable[[dict[str, Any]], Reading]:
    problem = f".data.{field}: {_NAME_EXPECTED}"

    def read(data: dict[str, Any]) -> Reading:
        name = data.get(field)
        if type(name) is str and len(name) <= _EVENT_NAME:
            return kind, name
        return problem

    return read


def _always(kind: str, name: str = "") -> Callable[[dict[str, Any]], Reading]:
    reading = (kind, name)
    return lambda _data: reading


def _transition(data: dict[str, Any]) -> Reading:
    """An install, an upgrade, both at once, or neither: by the first foreground of the app."""
    if data.get("application_transition_type") != "application_initialized":
        return subject.UNREAD, ""
    if data.get("is_first_run") is True:
        return (
            subject.INSTALL_AND_UPGRADE if data.get("is_upgrade") is True else subject.INSTALL
        ), ""
    return (subject.UPGRADE if data.get("is_upgrade") is True else subject.UNREAD), ""


def _opt_out(data: dict[str, Any]) -> Reading:
    """Out or in again; without a boolean it is neither, and activity alone."""
    opted_out = data.get("is_opted_out")
    if type(opted_out) is not bool:
        return subject.UNREAD, ""
    return subject.OPT_OUT, "out" if opted_out else "in"


def _commerce(data: dict[str, Any]) -> Reading:
    """A commerce event is about a product action, a promotion or impressions; the first that is
    there names it.
    """
    name = None
    impressions = data.get("product_impressions")
    if impressions is not None:
        problem = _impressions_problem(impressions)
        if problem:
            return problem
        if impressions:
            name = "impression"
    promotion = data.get("promotion_action")
    if promotion is not None:
        problem = _action_problem(".data.promotion_action", promotion, "promotions")
        if problem:
            return problem
        name = f"promotion_{promotion['action']}"
    action = data.get("product_action")
    if action is not None:
        problem = _action_problem(".data.product_action", action, "products")
        if problem:
            return problem
        name = action["action"]
    if name is None:
        return ".data: expected product_action, promotion_action or product_impressions"
    return subject.COMMERCE, name


def _action_problem(path: str, part: Any, items: str) -> str | None:
    if type(part) is not dict:
        return f"{path}: expected an object"
    action = part.get("action")
    if type(action) is not str or len(action) > _EVENT_NAME:
        return f"{path}.action: {_NAME_EXPECTED}"
    return _items_problem(f"{path}.{items}", part.get(items))


def _impressions_problem(impressions: Any) -> str | None:
    path = ".data.product_impressions"
    problem = _items_problem(path, impressions)
    if problem:
        return problem
    for index, impression in enumerate(impressions):
        problem = _items_problem(f"{path}[{index}].products", impression.get("products"))
        if problem:
            return problem
    return None


def _items_problem(path: str, items: Any) -> str | None:
    """What is wrong with a list of products, promotions or impressions; null is an empty one."""
    if items is None:
        return None
    if type(items) is not list:
        return f"{path}: expected a list of objects"
    for index, item in enumerate(items):
        if type(item) is not dict:
            return f"{path}[{index}]: expected an object"
        attributes = item.get("custom_attributes")
        if attributes is not None:
            problem = attributes_problem(
                f"{path}[{index}].custom_attributes", attributes, limits.RECORD_BYTES
            )
            if problem:
                return problem
    return None


def attributes_problem(path: str, attributes: Any, longest: int) -> str | None:
    """What is wrong with custom attributes: an object of at most 100 scalars or nulls, names and
    text within limits.

    No text in the record is longer than `longest`, so most records need no look at lengths.
    """
    if type(attributes) is not dict:
        return None if attributes is None else f"{path}: expected an object"
    if len(attributes) > limits.EVENT_ATTRIBUTES:
        return f"{path}: expected at most {limits.EVENT_ATTRIBUTES} attributes"
    if not SCALARS.issuperset(map(type, attributes.values())):
        name = next(name for name, value in attributes.items() if type(value) not in SCALARS)
        return f"{child_path(path, name)}: {SCALAR_EXPECTED}"
    # One sum over the names is cheaper than a look at each, and is mostly enough.
    if (
        longest > limits.EVENT_ATTRIBUTE_NAME
        and len("".join(attributes)) > limits.EVENT_ATTRIBUTE_NAME
    ):
        name = max(attributes, key=len)
        if len(name) > limits.EVENT_ATTRIBUTE_NAME:
            longest = limits.EVENT_ATTRIBUTE_NAME
            return f"{child_path(path, name)}: expected a name of at most {longest} characters"
    if longest > limits.EVENT_ATTRIBUTE_VALUE:
        for name, value in attributes.items():
            if type(value) is str and len(value) > limits.EVENT_ATTRIBUTE_VALUE:
                longest = limits.EVENT_ATTRIBUTE_VALUE
                return f"{child_path(path, name)}: expected text of at most {longest} characters"
    return None


def location_problem(path: str, location: Any) -> str | None:
    """What is wrong with a location: an object whose coordinates, where there, are numbers."""
    if location is None:
        return None
    if type(location) is not dict:
        return f"{path}: expected an object"
    for field in ("latitude", "longitude"):
        if type(location.get(field)) not in _NUMBERS:
            return f"{path}.{field}: expected a number"
    return None


READERS: Final[dict[str, Callable[[dict[str, Any]], Reading]]] = {
    "custom_event": _named(subject.EVENT, "event_name"),
    "screen_view": _named(subject.SCREEN_VIEW, "screen_name"),
    "commerce_event": _commerce,
    "session_start": _always(subject.SESSION, "start"),
    "session_end": _always(subject.SESSION, "end"),
    "application_state_transition": _transition,
    "first_run": _always(subject.INSTALL),
    "uninstall": _always(subject.UNINSTALL),
    "crash_report": _always(subject.CRASH),
    "opt_out": _opt_out,
} | {
    unread: _always(subject.UNREAD)
    for unread in (
        "breadcrumb",
        "network_performance",
        "pre_attribution",
        "profile",
        "push_message",
        "push_reaction",
        "push_registration",
        "user_attribute_change",
        "user_identity_change",
    )
}
"""Every event type of the batch format."""

_reader_of = READERS.get


def read_event(event: Any, index: int, arrival: int, longest: int) -> Event | str:
    """The event at `index` of a batch, or its problem.

    Args:
        event: the element of `events`, decoded JSON.
        index: its place in `events`.
        arrival: the arrival of its batch, epoch ms; the event's time when it has none, and the
            latest it can have.
        longest: no text in the record has more characters.
    """
    if type(event) is not dict:
        return ": expected an object"
    event_type = event.get("event_type")
    read = _reader_of(event_type) if type(event_type) is str else None
    if read is None:
        return ".event_type: expected an event type of the batch format"
    data = event.get("data")
    if type(data) is not dict:
        return ".data: expected an object"
    occurred_at = data.get("timestamp_unixtime_ms")
    if occurred_at is None:
        occurred_at = arrival
    elif type(occurred_at) is not int or not 0 <= occurred_at <= _GREATEST_TIME:
        return f".data.timestamp_unixtime_ms: {TIME_EXPECTED}"
    elif occurred_at > arrival:
        occurred_at = arrival
    reading = read(data)
    if isinstance(reading, str):
        return reading
    if "custom_attributes" in data:
        problem = attributes_problem(".data.custom_attributes", data["custom_attributes"], longest)
        if problem is not None:
            return problem
    if "location" in data:
        problem = location_problem(".data.location", data["location"])
        if problem is not None:
            return problem
    custom_event_type = data.get("custom_event_type")
    message_id = data.get("source_message_id")
    if message_id is not None:
        message_id = text_id(message_id)
    kind, name = reading
    return Event(
        occurred_at,
        kind,
        name,
        custom_event_type if type(custom_event_type) is str else "",
        data,
        message_id,
        None if message_id is None else digest_of(message_id),
        index,
    )
