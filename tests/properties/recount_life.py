"""What the recount keeps of a profile, and what the profile part of a batch changes of it.

Shares no code with `cdp_stream`: see `recount.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.properties.recount_events import Occurrence, subject_matches, without_zero_ids
from tests.properties.recount_values import MISSING, fold, keyed, text_of

Json = Any
VENDOR_AND_ADVERTISING_IDS = (
    *("ios_idfv", "android_uuid", "ios_advertising_id", "android_advertising_id"),
    *("roku_advertising_id", "microsoft_advertising_id", "fire_advertising_id"),
)
PLACES = {
    "city": "city_name",
    "region": "region_code",
    "state": "region_code",
    "postal_code": "postal_code",
    "zip": "postal_code",
    "dma": "dma_code",
    "country": "country_code",
}


@dataclass
class Life:
    """A profile within one workspace, from its first activity until it is forgotten.

    `locations`, `installs` and `uninstalls` are (time, value) in the order in which they were read.
    """

    history: list[Occurrence] = field(default_factory=list)
    attributes: dict[str, Json] = field(default_factory=dict)
    activity: list[int] = field(default_factory=list)
    devices: dict[tuple[str, str], Json] = field(default_factory=dict)
    consents: dict[tuple[str, str], bool] = field(default_factory=dict)
    locations: list[tuple[int, Json]] = field(default_factory=list)
    installs: list[tuple[int, Json]] = field(default_factory=list)
    uninstalls: list[tuple[int, Json]] = field(default_factory=list)

    def apply_profile_part(self, batch: Json, time: int) -> None:
        """events.md, Order inside a batch: the part that is the workspace's own."""
        for key, value in (batch.get("user_attributes") or {}).items():
            self.attributes[fold(key) if key.startswith("$") else key] = value
        for key in batch.get("deleted_user_attributes") or []:
            self.attributes.pop(fold(key) if key.startswith("$") else key, None)
        if batch.get("device_info") or (batch.get("mp_deviceid") and "device_info" in batch):
            device = without_zero_ids(batch["device_info"])
            self.devices[device_key(batch.get("mp_deviceid"), device)] = device
        self._apply_consents(batch.get("consent_state") or {})
        self._apply_location((batch.get("context") or {}).get("location"), time)
        if batch.get("attribution_info"):
            self.installs.append((time, batch["attribution_info"]))

    def _apply_consents(self, state: Json) -> None:
        """The last write wins; a null purpose is removed, a null regulation with all of its own."""
        for regulation, purposes in state.items():
            if purposes is None:
                for known in [key for key in self.consents if key[0] == regulation]:
                    del self.consents[known]
            for purpose, given in (purposes or {}).items():
                if given is None:
                    self.consents.pop((regulation, fold(purpose)), None)
                else:
                    self.consents[regulation, fold(purpose)] = given["consented"]

    def _apply_location(self, location: Json, time: int) -> None:
        """A location that names no place and has no coordinates is none."""
        names = (*PLACES.values(), "latitude", "longitude")
        if location and any(location.get(name) is not None for name in names):
            self.locations.append((time, location))

    def apply_event(self, occurrence: Occurrence) -> None:
        """An event that is no duplicate; only a `personalize` one is evaluated."""
        if not occurrence.personalize:
            return
        self.history.append(occurrence)
        event, data = occurrence.event, occurrence.event["data"]
        self._apply_location(data.get("location"), occurrence.time)
        if subject_matches({"attribution": "any"}, event):
            self.installs.append((occurrence.time, data.get("custom_attributes") or {}))
        if event["event_type"] == "uninstall":
            self.uninstalls.append((occurrence.time, data.get("custom_attributes") or {}))


def newest(timed: list[tuple[int, Json]]) -> Json:
    """The value with the greatest time, of equal times the one read later; None of nothing."""
    found, at = None, None
    for time, value in timed:
        if at is None or time >= at:
            found, at = value, time
    return found


def device_key(stamp: Json, device: Json) -> tuple[str, str]:
    """How a device is told apart: stamp, vendor or advertising id, platform; empty is none."""
    if stamp:
        return "stamp", stamp
    for name in VENDOR_AND_ADVERTISING_IDS:
        if name in device:
            return name, device[name]
    platform = device.get("platform")
    return "platform", platform if isinstance(platform, str) else ""


def apply_identities(known: dict[str, str], batch: Json) -> None:
    """events.md: values are coerced to text, null removes; in a list the last of a type counts. An
    advertising id of zeros counts as absent.
    """
    given = batch.get("user_identities") or {}
    pairs = (
        [(one["identity_type"], one["identity"]) for one in given]
        if isinstance(given, list)
        else list(given.items())
    )
    for kind, value in pairs:
        if value is None:
            known.pop(kind, None)
        elif without_zero_ids({kind: value}):
            known[kind] = str(text_of(value))


def place(location: Json, name: str) -> Json:
    """A field of a location by its name in a criterion."""
    value = (location or {}).get(PLACES[name])
    return MISSING if value is None else value


def attributed(attribution: Json, name: str) -> Json:
    """The publisher or campaign of a stored attribution."""
    return keyed(attribution, name)
