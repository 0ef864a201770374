"""The short form of a batch, written out as the batch format has it.

Nothing of the format is checked here but what the short form itself adds: the engine decodes the
batch as it decodes any other, and reports what is wrong with it.

Source: docs/testing.md, batches.
"""

from __future__ import annotations

from typing import Any, Final

from cdp_stream.core.model.subject import ATTRIBUTION, COMMERCE, EVENT, SCREEN_VIEW, SUBJECTS
from cdp_stream.definition_tests.instants import Times
from cdp_stream.definitions.account.subjects import ANY, read_subject
from cdp_stream.definitions.source.nodes import Mapping, Node, Scalar, Sequence
from cdp_stream.definitions.source.problems import Problems

ACTION_FIELDS: Final = (
    "total_amount", "tax_amount", "shipping_amount", "transaction_id", "affiliation", "coupon_code",
    "checkout_step", "checkout_options",
)  # fmt: skip
"""Fields of a `product_action` that may be written beside `commerce: ACTION`."""

TIME_KEYS: Final = ("at", "after", "until")
EVENT_KEYS: Final = (
    *SUBJECTS, "occurred_at", "id", "attributes", "products", *ACTION_FIELDS, "fields", "location",
)  # fmt: skip
PROFILE_KEYS: Final = (
    "user_attributes", "deleted_user_attributes", "user_identities", "device_info",
    "application_info", "consent_state", "attribution_info", "context", "source_request_id",
    "mp_deviceid", "ip", "environment",
)  # fmt: skip
"""Keys of a batch that a step has under the same name."""

_TRANSITION = "application_state_transition"
_LIFECYCLE: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "install": (
        _TRANSITION,
        {"application_transition_type": "application_initialized", "is_first_run": True},
    ),
    "upgrade": (
        _TRANSITION,
        {"application_transition_type": "application_initialized", "is_upgrade": True},
    ),
    "uninstall": ("uninstall", {}),
    "crash": ("crash_report", {"severity": "fatal", "message": "it broke"}),
}
_NAMED = (EVENT, SCREEN_VIEW, COMMERCE, ATTRIBUTION)
_PLACES: Final = {
    "id": "source_message_id",
    "attributes": "custom_attributes",
    "location": "location",
}


def plain(node: Node) -> Any:  # noqa: ANN401 - JSON of any type
    """A node as plain data."""
    if isinstance(node, Mapping):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value


class ShortForm:
    """Writes out the short forms of one test."""

    def __init__(self, times: Times, problems: Problems) -> None:
        self._times = times
        self._problems = problems

    def batch(self, step: Mapping, path: str, mpid: int, at: int | None) -> dict[str, Any]:
        """The batch of a step that has a `profile`; it arrives at `at`, epoch ms."""
        batch: dict[str, Any] = {"mpid": mpid}
        if at is None:
            if any(key in step.entries for key in TIME_KEYS):
                return batch
            self._problems.error(
                "missing-key", step.mark, path, "the batch has no time", "add `at:` or `after:`"
            )
        else:
            batch["timestamp_unixtime_ms"] = at
        events = self._events(step, path, at)
        if events:
            batch["events"] = events
        batch.update({key: plain(entry.value) for key, entry in _among(step, PROFILE_KEYS)})
        return batch

    def _events(self, step: Mapping, path: str, at: int | None) -> list[dict[str, Any]]:
        listed = step.get("events")
        if listed is None:
            if any(key in step.entries for key in EVENT_KEYS):
                return self._kept([self._event(step, path, at)])
            return []
        for key in EVENT_KEYS:
            if key in step.entries:
                message, advice = f"`{key}` is beside `events`", "give it to one of the events"
                self._problems.error(
                    "misplaced-key", step.mark_of(key), f"{path}.{key}", message, advice
                )
        if not isinstance(listed, Sequence):
            self._problems.wrong_type(listed, f"{path}.events", "a list of events")
            return []
        events = []
        for index, item in enumerate(listed.items):
            where = f"{path}.events[{index}]"
            if isinstance(item, Mapping):
                self._problems.unknown_keys(item, where, EVENT_KEYS)
                events.append(self._event(item, where, at))
            else:
                self._problems.wrong_type(item, where, "an event")
        return self._kept(events)

    @staticmethod
    def _kept(events: list[dict[str, Any] | None]) -> list[dict[str, Any]]:
        return [event for event in events if event is not None]

    def _event(self, node: Mapping, path: str, at: int | None) -> dict[str, Any] | None:
        """One event of the batch format; None when its kind is unknown."""
        subjects = [key for key in node.entries if key in SUBJECTS]
        if len(subjects) != 1:
            self._note_subjects(node, path, subjects)
            return None
        (kind,) = subjects
        time = at
        if (written := node.get("occurred_at")) is not None:
            time = self._times.instant(written, f"{path}.occurred_at")
        data: dict[str, Any] = {} if time is None else {"timestamp_unixtime_ms": time}
        for key, place in _PLACES.items():
            if (value := node.get(key)) is not None:
                data[place] = plain(value)
        own = self._own(kind, node, path)
        if own is None:
            return None
        event_type, parts = own
        return {"event_type": event_type, "data": data | parts | self._fields(node, path)}

    def _note_subjects(self, node: Mapping, path: str, subjects: list[str]) -> None:
        choices = ", ".join(f"`{subject}`" for subject in SUBJECTS)
        if not subjects:
            key = next((key for key in node.entries if key in EVENT_KEYS), "")
            message = f"there is no event for `{key}`" if key else "this is not an event"
            self._problems.error(
                "missing-subject", node.mark_of(key), path, message, f"add one of {choices}"
            )
            return
        message = f"`{subjects[0]}` and `{subjects[1]}` are two events"
        self._problems.error(
            "many-subjects", node.mark_of(subjects[1]), path, message, "list them under `events`"
        )

    def _fields(self, node: Mapping, path: str) -> dict[str, Any]:
        """The event's own fields beyond those that have a key."""
        fields = node.get("fields")
        if fields is None:
            return {}
        if not isinstance(fields, Mapping):
            self._problems.wrong_type(fields, f"{path}.fields", "a mapping of fields")
            return {}
        found: dict[str, Any] = plain(fields)
        return found

    def _own(self, kind: str, node: Mapping, path: str) -> tuple[str, dict[str, Any]] | None:
        """The event type and the data that are the subject's own; None when it is wrong."""
        value = node.entries[kind].value
        where = f"{path}.{kind}"
        if read_subject(kind, value, where, self._problems) is None:
            return None
        if kind in _LIFECYCLE:
            return _LIFECYCLE[kind]
        name, custom_event_type = _name_of(value)
        if kind in _NAMED and name == ANY:
            self._problems.error(
                "bad-value",
                value.mark,
                where,
                f"`any` is not a valid {kind}",
                "name the one that happened",
            )
            return None
        if kind == COMMERCE:
            return "commerce_event", _commerce(name.lower(), node)
        self._note_commerce_only(kind, node, path)
        if kind == EVENT:
            parts = {"event_name": name, "custom_event_type": custom_event_type or "other"}
            return "custom_event", parts
        if kind == ATTRIBUTION:
            return "custom_event", {"event_name": name, "custom_event_type": ATTRIBUTION}
        if kind == SCREEN_VIEW:
            return "screen_view", {"screen_name": name}
        ended = name.lower() == "end"
        return ("session_end", {"session_duration_ms": 0}) if ended else ("session_start", {})

    def _note_commerce_only(self, kind: str, node: Mapping, path: str) -> None:
        for key, entry in _among(node, ("products", *ACTION_FIELDS)):
            advice = "put it under `attributes`, or under `fields`"
            message = f"`{key}` belongs to `commerce`, not to `{kind}`"
            self._problems.error("misplaced-key", entry.key.mark, f"{path}.{key}", message, advice)


def _among(node: Mapping, keys: tuple[str, ...]) -> list[tuple[str, Any]]:
    return [(key, entry) for key, entry in node.entries.items() if key in keys]


def _name_of(value: Node) -> tuple[str, str | None]:
    """The name that a checked subject has, and its custom event type."""
    if isinstance(value, Mapping):
        return value.text("name") or ANY, value.text("custom_event_type")
    assert isinstance(value, Scalar)
    return str(value.value), None


def _commerce(action: str, node: Mapping) -> dict[str, Any]:
    """The data of a commerce event with that action."""
    listed = node.get("products")
    products = [] if listed is None else plain(listed)
    if action.startswith("promotion_"):
        return {"promotion_action": {"action": action.removeprefix("promotion_")}}
    if action == "impression":
        return {"product_impressions": [{"products": products}]}
    fields = {key: plain(entry.value) for key, entry in _among(node, ACTION_FIELDS)}
    return {"product_action": {"action": action, "products": products, **fields}}
