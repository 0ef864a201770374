"""The types of identities, each in the one spelling that everything here uses.

mParticle's own interfaces and SDKs spell some of them otherwise; what comes in is brought to one
spelling where it is read, so that nothing behind that knows of others.

Source: docs/events.md, identity types.
"""

from __future__ import annotations

from typing import Final

_NUMBERED: Final = range(2, 11)

IDENTITY_TYPES: Final = (
    "customer_id",
    "email",
    "mobile_number",
    "phone_number_2",
    "phone_number_3",
    "facebook",
    "facebook_custom_audience_id",
    "twitter",
    "google",
    "microsoft",
    "yahoo",
    "alias",
    "other",
    *(f"other_id_{number}" for number in _NUMBERED),
    "ios_advertising_id",
    "ios_idfv",
    "android_advertising_id",
    "android_uuid",
    "fire_advertising_id",
    "roku_advertising_id",
    "roku_publisher_id",
    "microsoft_advertising_id",
    "microsoft_publisher_id",
    "amp_id",
    "push_token",
    "mp_deviceid",
)
"""Every type that is known; a batch may have others."""

OTHER_SPELLINGS: Final = {
    "customer": "customer_id",
    "customerid": "customer_id",
    "facebookcustomaudienceid": "facebook_custom_audience_id",
    **{f"other{number}": f"other_id_{number}" for number in _NUMBERED},
    "ios_idfa": "ios_advertising_id",
    "ios_vendor_id": "ios_idfv",
    "android_aaid": "android_advertising_id",
    "google_advertising_id": "android_advertising_id",
    "android_id": "android_uuid",
    "fire_aid": "fire_advertising_id",
    "roku_aid": "roku_advertising_id",
    "roku_publishing_id": "roku_publisher_id",
    "microsoft_aid": "microsoft_advertising_id",
    "apple_push_notification_token": "push_token",
    "google_cloud_messaging_token": "push_token",
    "device_application_stamp": "mp_deviceid",
}
"""Another spelling -> the one in use."""


def one_spelling(identity_type: str) -> str:
    """The spelling in use of a type; a type that is not known keeps its own."""
    return OTHER_SPELLINGS.get(identity_type, identity_type)
