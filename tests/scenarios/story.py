"""Reads the stories in this folder: definitions, steps in a short form, expected changes.

A story says what it shows (`title`), where the rule stands (`rule`), what its offsets count from
(`start`, 00:00 UTC of a day), and has:

* `definitions`: the text of a definition file, as a user would write it;
* `steps`: each is one batch, of profile 1 unless it says `profile`. `at` is its time (`3d 1ms`,
  `-1h`); `arrives` its arrival where that differs. What happened is `event`, `screen_view`,
  `commerce`, `session`, `install`, `upgrade`, `uninstall`, `crash` or `attribution` as in a
  criterion, or `opt_out: true`, or several of these under `events`; `attributes`, `products`,
  `fields`, `location` and `id` belong to the event; `user`, `delete`, `identities`, `device`,
  `stamp` (its `mp_deviceid`), `consent`, `context`, `attributed` (its `attribution_info`), `app`,
  `input` (an api key) and `request` (the batch's id) to the batch. A step with neither is a batch
  without events;
* `until`: how far time runs on after the last step; left out, it is the last arrival;
* `expect`: every change, in the order of `cdp replay`: `- 3d 1ms: 1 leaves buyers`, with a variant
  `- 3d 1ms: 1 leaves buyers as Control`. Changes of one profile at one instant have the ordinals
  0, 1, ... in the order in which they stand.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

Json = Any
Change = tuple[int, str, str, str, str | None, int]
"""(effective_at, mpid, action, audience, variant, ordinal)."""
UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
TRANSITION = {"application_transition_type": "application_initialized"}


@dataclass(frozen=True, slots=True)
class Story:
    """One scenario, ready to run. `until` is epoch ms, None for the last arrival."""

    definitions: str
    batches: list[Json]
    until: int | None
    expected: list[Change]


class CoreLoader(yaml.SafeLoader):
    """YAML 1.2 as definitions are read: dates are text, booleans only `true` and `false`."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (the loader's own attribute)
        first: [
            (tag, regexp)
            for tag, regexp in resolvers
            if tag.rpartition(":")[2] in ("int", "float", "null")
            or (tag.endswith(":bool") and first in "tTfF")
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def parse(text: str) -> Json:
    """A YAML text as plain values."""
    return yaml.load(text, Loader=CoreLoader)


def offset(text: str) -> int:
    """Milliseconds of `3d 1ms`, `-1h`, `4d -1ms`."""
    total = 0
    for term in text.split():
        read = re.fullmatch(r"(-?\d+)(ms|s|m|h|d)", term)
        assert read, f"not an offset: {text}"
        total += int(read[1]) * UNITS[read[2]]
    return total


def short_event(short: Json, at: int) -> Json:
    """The event of the batch format that a short form means."""
    data: Json = {"timestamp_unixtime_ms": at, **short.get("fields", {})}
    if "attributes" in short:
        data["custom_attributes"] = short["attributes"]
    if "id" in short:
        data["source_message_id"] = short["id"]
    if "location" in short:
        data["location"] = short["location"]
    kind, own = event_parts(short)
    return {"event_type": kind, "data": {**data, **own}}


def event_parts(short: Json) -> tuple[str, Json]:  # noqa: PLR0911, PLR0912  (one per subject)
    """The event type and the data that are the subject's own."""
    match short:
        case {"event": {"name": name, "custom_event_type": kind}}:
            return "custom_event", {"event_name": name, "custom_event_type": kind}
        case {"event": name}:
            return "custom_event", {"event_name": name, "custom_event_type": "other"}
        case {"attribution": name}:
            return "custom_event", {"event_name": name, "custom_event_type": "attribution"}
        case {"screen_view": name}:
            return "screen_view", {"screen_name": name}
        case {"commerce": "promotion_view" | "promotion_click" as action}:
            return "commerce_event", {
                "promotion_action": {"action": action.removeprefix("promotion_")}
            }
        case {"commerce": "impression"}:
            return "commerce_event", {
                "product_impressions": [{"products": short.get("products", [])}]
            }
        case {"commerce": action}:
            found = {
                "action": action,
                "products": short.get("products", []),
                **short.get("action_fields", {}),
            }
            return "commerce_event", {"product_action": found}
        case {"session": "start"}:
            return "session_start", {}
        case {"session": "end"}:
            return "session_end", {"session_duration_ms": 0, **short.get("fields", {})}
        case {"install": _}:
            return "application_state_transition", {**TRANSITION, "is_first_run": True}
        case {"upgrade": _}:
            return "application_state_transition", {**TRANSITION, "is_upgrade": True}
        case {"uninstall": _}:
            return "uninstall", {}
        case {"opt_out": opted_out}:
            return "opt_out", {"is_opted_out": opted_out}
        case {"crash": _}:
            return "crash_report", {
                "severity": "fatal",
                "message": "it broke",
                **short.get("fields", {}),
            }
    raise AssertionError(f"no event in {short}")


SUBJECTS = {
    "event",
    "attribution",
    "screen_view",
    "commerce",
    "session",
    "install",
    "upgrade",
    "uninstall",
    "crash",
    "opt_out",
}
PARTS = {
    "user": "user_attributes",
    "delete": "deleted_user_attributes",
    "identities": "user_identities",
    "device": "device_info",
    "stamp": "mp_deviceid",
    "consent": "consent_state",
    "context": "context",
    "attributed": "attribution_info",
    "app": "application_info",
    "input": "api_key",
    "request": "source_request_id",
}
STEP_KEYS = (
    SUBJECTS
    | set(PARTS)
    | {"at", "arrives", "profile", "events", "attributes", "products", "fields", "id"}
)
STEP_KEYS |= {"action_fields", "location"}


def batch_of(step: Json, start: int) -> Json:
    """The batch that a step means."""
    if unknown := set(step) - STEP_KEYS:
        raise AssertionError(f"step {step}: unknown {sorted(unknown)}")
    batch: Json = {"mpid": step.get("profile", 1)}
    if (arrives := step.get("arrives", step.get("at"))) is not None:
        batch["timestamp_unixtime_ms"] = start + offset(arrives)
    happened = step.get("events", [step] if SUBJECTS & set(step) else [])
    if happened:
        batch["events"] = [short_event(one, start + offset(one["at"])) for one in happened]
    batch.update({name: step[key] for key, name in PARTS.items() if key in step})
    return batch


def expected_changes(lines: list[Json], start: int) -> list[Change]:
    """The changes of `- 3d: 1 joins buyers` and `- 3d: 1 joins buyers as Control`."""
    found = []
    ordinals: Counter[tuple[int, str]] = Counter()
    for line in lines:
        ((at, said),) = line.items()
        change, _, variant = said.partition(" as ")
        mpid, verb, audience = change.split()
        instant = start + offset(at)
        action = {"joins": "add", "leaves": "delete"}[verb]
        ordinal = ordinals[instant, mpid]
        found.append((instant, mpid, action, audience, variant or None, ordinal))
        ordinals[instant, mpid] += 1
    return found


def change_of(told: Json) -> Change:
    """A change of a replay or a recount in the form that stories are compared in."""
    return (
        told["effective_at"],
        told["mpid"],
        told["action"],
        told["audience_id"],
        told["variant"],
        told["ordinal"],
    )


def read_story(path: Path) -> Story:
    """A story of this folder."""
    told = parse(path.read_text(encoding="utf-8"))
    start = int(datetime.fromisoformat(told["start"]).replace(tzinfo=UTC).timestamp()) * 1_000
    return Story(
        definitions=told["definitions"],
        batches=[batch_of(step, start) for step in told["steps"]],
        until=start + offset(told["until"]) if "until" in told else None,
        expected=expected_changes(told["expect"], start),
    )


def stories() -> list[Path]:
    """Every story, by name."""
    return sorted(Path(__file__).parent.glob("*.yaml"))
