"""What a batch has about a profile's device, consent, location and attribution, as it is kept.

The parts were checked before (profile_part.py); what is not known is left out of state.

Source: docs/events.md, the profile part; docs/definitions.md, device and consent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdp_stream.formats.envelope import TIME_EXPECTED, is_time
from cdp_stream.formats.rejects import child_path

DEVICE_FIELDS: Final = frozenset({
    "amp_id", "android_advertising_id", "android_uuid", "att_authorization_status",
    "att_timestamp_unixtime_ms", "bluetooth_enabled", "bluetooth_version", "brand",
    "build_identifier", "build_version_release", "cpu_architecture", "device", "device_country",
    "device_manufacturer", "device_model", "fire_advertising_id", "has_nfc",
    "http_header_user_agent", "ios_advertising_id", "ios_idfv", "is_dst", "is_tablet",
    "limit_ad_tracking", "locale_country", "locale_language", "microsoft_advertising_id",
    "microsoft_publisher_id", "network_carrier", "network_code", "network_country",
    "network_mobile_country_code", "os_version", "platform", "product",
    "push_notification_sound_enabled", "push_notification_vibrate_enabled", "push_token",
    "radio_access_technology", "roku_advertising_id", "roku_publisher_id", "screen_dpi",
    "screen_height", "screen_width", "supports_telephony", "timezone_offset",
})  # fmt: skip
"""The members of `device_info` that a profile keeps."""

ADVERTISING_IDS: Final = (
    "ios_advertising_id",
    "android_advertising_id",
    "roku_advertising_id",
    "microsoft_advertising_id",
    "fire_advertising_id",
)
_VENDOR_IDS: Final = (
    "ios_idfv",
    "android_uuid",
    "roku_publisher_id",
    "microsoft_publisher_id",
    "amp_id",
)
_SCALARS: Final = (str, int, float, bool)
CCPA: Final = "ccpa"
GDPR_PREFIX: Final = "gdpr:"
_OPT_OUT_OF_SALE: Final = "data_sale_opt_out"


def device_of(stamp: str | None, device: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """What identifies a device, and what is kept of it; None when that is nothing at all.

    Args:
        stamp: the batch's `mp_deviceid`; None where it has none, or no device.
        device: its `device_info`, without ids that are all zeros. With a stamp it may be empty: it
            takes the place of what was known of that device.
    """
    known = {
        field: value
        for field, value in device.items()
        if field in DEVICE_FIELDS and type(value) in _SCALARS
    }
    if not known and not stamp:
        return None
    ids = [stamp, *(device.get(field) for field in (*_VENDOR_IDS, *ADVERTISING_IDS, "platform"))]
    # The same text as another kind of id is another device's.
    for place, identifier in enumerate(ids):
        if type(identifier) is str and identifier:
            return f"{place}:{identifier}", known
    return "", known


def read_consent(state: Mapping[str, Any], problems: list[str]) -> dict[str, bool | None]:
    """The answers of `consent_state`, by the keys of `Facts.consent`; a wrong one is named and left
    out.
    """
    answers: dict[str, bool | None] = {}
    for regulation in ("gdpr", CCPA):
        if regulation not in state:
            continue
        purposes = state[regulation]
        path = f"$.consent_state.{regulation}"
        if purposes is None:
            answers[GDPR_PREFIX if regulation == "gdpr" else CCPA] = None
            continue
        if type(purposes) is not dict:
            problems.append(f"{path}: expected an object")
            continue
        for purpose, consent in purposes.items():
            problem = None if consent is None else _consent_problem(consent)
            if problem:
                problems.append(f"{child_path(path, purpose)}{problem}")
                continue
            given = None if consent is None else consent["consented"]
            if regulation == "gdpr":
                answers[GDPR_PREFIX + purpose.casefold()] = given
            elif purpose == _OPT_OUT_OF_SALE:
                answers[CCPA] = given
    return answers


def _consent_problem(consent: Any) -> str | None:
    if type(consent) is not dict:
        return ": expected an object"
    if type(consent.get("consented")) is not bool:
        return ".consented: expected a boolean"
    given_at = consent.get("timestamp_unixtime_ms")
    if given_at is not None and not is_time(given_at):
        return f".timestamp_unixtime_ms: {TIME_EXPECTED}"
    return None


def read_attribution(written: Mapping[str, Any], problems: list[str]) -> dict[str, str] | None:
    """Publisher and campaign of `attribution_info`, None when it has neither."""
    found: dict[str, str] = {}
    for field in ("service_provider", "publisher", "campaign"):
        value = written.get(field)
        if type(value) is str:
            if field != "service_provider":
                found[field] = value
        elif value is not None:
            problems.append(f"$.attribution_info.{field}: expected text")
    return found or None
