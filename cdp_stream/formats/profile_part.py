"""What a batch has about the profile itself: attributes, identities, and the parts beside
its events.

Of a bad part the smallest item that is wrong is left out and named, and the rest applies: an
attribute, an identity, or the whole part where it is of the wrong type or has too many entries.

Source: docs/events.md, the profile part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from cdp_stream.core.engine.recording import location_of
from cdp_stream.core.identity_types import one_spelling
from cdp_stream.core.model.event import Facts, ProfilePart
from cdp_stream.core.model.operators import text_of
from cdp_stream.formats import limits
from cdp_stream.formats.event_types import SCALAR_EXPECTED, SCALARS, location_problem
from cdp_stream.formats.profile_facts import (
    ADVERTISING_IDS,
    device_of,
    read_attribution,
    read_consent,
)
from cdp_stream.formats.rejects import child_path

MEMBERS: Final = frozenset({
    "user_attributes", "deleted_user_attributes", "user_identities", "device_info",
    "application_info", "consent_state", "context", "attribution_info",
})  # fmt: skip
"""The members of a batch that are read here; most batches have none of them."""

_NO_FACTS = Facts()
_NO_IDENTITIES_SIZE = len(orjson.dumps({}))
_FACTS_SIZE = 64
"""Bytes that facts take in a row beside their own JSON."""


class Profile(NamedTuple):
    """The profile part of a batch, and what its events may be filtered by."""

    part: ProfilePart | None
    device: dict[str, Any]
    application: dict[str, Any]
    problems: list[str]


def read_profile(batch: Mapping[str, Any]) -> Profile:
    """Read the profile part of a batch; each problem is `<JSON path>: expected ...`."""
    problems: list[str] = []
    attributes = read_attributes(batch.get("user_attributes"), problems)
    deleted = _deleted(batch.get("deleted_user_attributes"), problems)
    identities = _identities(batch.get("user_identities"), problems)
    device = _device(_object(batch, "device_info", problems))
    stamp = _stamp(batch, problems)
    application = _object(batch, "application_info", problems)
    consent = read_consent(_object(batch, "consent_state", problems), problems)
    location = _object(batch, "context", problems).get("location")
    problem = location_problem("$.context.location", location)
    if problem:
        problems.append(problem)
        location = None
    attribution = read_attribution(_object(batch, "attribution_info", problems), problems)
    part = None
    facts = Facts(
        device=device_of(stamp, device),
        consent=consent,
        location=location_of(location),
        attribution=attribution,
    )
    says_facts = facts != _NO_FACTS
    if deleted or identities or says_facts:
        size = 0
        if attributes or identities:
            size = len(orjson.dumps(attributes)) + len(orjson.dumps(identities))
        if says_facts:
            size += _FACTS_SIZE + len(orjson.dumps(facts))
        part = ProfilePart(attributes, deleted, identities, size, facts if says_facts else None)
    elif attributes:
        part = part_of_attributes(attributes)
    return Profile(part, device, application, problems)


def part_of_attributes(attributes: dict[str, Any]) -> ProfilePart:
    """The profile part of a batch that has nothing about the profile but some attributes."""
    size = len(orjson.dumps(attributes)) + _NO_IDENTITIES_SIZE
    return ProfilePart(attributes, [], {}, size)


def _object(batch: Mapping[str, Any], member: str, problems: list[str]) -> dict[str, Any]:
    found = batch.get(member)
    if found is None:
        return {}
    if type(found) is dict:
        return found
    problems.append(f"$.{member}: expected an object")
    return {}


def _stamp(batch: Mapping[str, Any], problems: list[str]) -> str | None:
    """What identifies the device for the sender; nothing where the batch has no device."""
    stamp = batch.get("mp_deviceid")
    if stamp is None or type(batch.get("device_info")) is not dict:
        return None
    if type(stamp) is str:
        return stamp
    problems.append("$.mp_deviceid: expected text")
    return None


def _folded(key: str) -> str:
    """An attribute's key as it is kept: reserved ones, `$...`, ignore case."""
    return key.casefold() if key.startswith("$") else key


def read_attributes(written: Any, problems: list[str]) -> dict[str, Any]:
    """The user attributes that are in order, by the keys that they are kept under; each other adds
    a problem.
    """
    if written is None:
        return {}
    if type(written) is not dict:
        problems.append("$.user_attributes: expected an object")
        return {}
    if len(written) > limits.USER_ATTRIBUTES:
        problems.append(f"$.user_attributes: expected at most {limits.USER_ATTRIBUTES} attributes")
        return {}
    attributes: dict[str, Any] = {}
    for key, value in written.items():
        problem = _attribute_problem(key, value)
        if problem:
            problems.append(f"{child_path('$.user_attributes', key)}: {problem}")
        else:
            attributes[_folded(key)] = value
    return attributes


def _attribute_problem(key: str, value: Any) -> str | None:
    if len(key) > limits.USER_ATTRIBUTE_NAME:
        return f"expected a name of at most {limits.USER_ATTRIBUTE_NAME} characters"
    kind = type(value)
    if kind is str:
        if len(value) > limits.USER_ATTRIBUTE_VALUE:
            return f"expected text of at most {limits.USER_ATTRIBUTE_VALUE} characters"
    elif kind is list:
        if len(value) > limits.LIST_ENTRIES:
            return f"expected at most {limits.LIST_ENTRIES} entries"
        if not SCALARS.issuperset(map(type, value)):
            return "expected a list of text, numbers, booleans or nulls"
        if any(type(entry) is str and len(entry) > limits.LIST_ENTRY for entry in value):
            return f"expected entries of at most {limits.LIST_ENTRY} characters"
    elif kind not in SCALARS:
        return "expected text, a number, a boolean, null or a list of those"
    return None


def _deleted(written: Any, problems: list[str]) -> list[str]:
    if written is None:
        return []
    if type(written) is not list:
        problems.append("$.deleted_user_attributes: expected a list of text")
        return []
    deleted = []
    for index, key in enumerate(written):
        if type(key) is str and len(key) <= limits.USER_ATTRIBUTE_NAME:
            deleted.append(_folded(key))
        else:
            expected = f"expected text of at most {limits.USER_ATTRIBUTE_NAME} characters"
            problems.append(f"$.deleted_user_attributes[{index}]: {expected}")
    return deleted


def _identities(written: Any, problems: list[str]) -> dict[str, str | None]:
    """Identity type -> text, None to remove it; of a list the last of a type counts."""
    if written is None:
        return {}
    identities: dict[str, str | None] = {}
    if type(written) is dict:
        for identity_type, identity in written.items():
            if _is_identity(identity):
                _note(identities, identity_type, identity)
            else:
                problems.append(
                    f"{child_path('$.user_identities', identity_type)}: {SCALAR_EXPECTED}"
                )
    elif type(written) is list:
        for index, entry in enumerate(written):
            problem = _entry_problem(entry)
            if problem:
                problems.append(f"$.user_identities[{index}]{problem}")
            else:
                _note(identities, entry["identity_type"], entry["identity"])
    else:
        problems.append("$.user_identities: expected an object, or a list of objects")
    return identities


def _entry_problem(entry: Any) -> str | None:
    if type(entry) is not dict:
        return ": expected an object"
    if type(entry.get("identity_type")) is not str:
        return ".identity_type: expected text"
    if "identity" not in entry or not _is_identity(entry["identity"]):
        return f".identity: {SCALAR_EXPECTED}"
    return None


def _is_identity(identity: Any) -> bool:
    """Whether it is a scalar; an infinity has no text, and must not pass for a null."""
    return type(identity) in SCALARS and (type(identity) is not float or identity - identity == 0)


def _note(identities: dict[str, str | None], identity_type: str, identity: Any) -> None:
    """Note an identity under the spelling in use of its type: text as it came, a number or a
    boolean in its JSON form, null to remove it; an advertising id of zeros is absent.
    """
    identity_type = one_spelling(identity_type)
    text = identity if type(identity) is str else text_of(identity)
    if identity_type not in ADVERTISING_IDS or not _is_zeros(text):
        identities[identity_type] = text


def _is_zeros(identifier: Any) -> bool:
    """Whether an advertising id is all zeros: senders fill the unused ones so."""
    return type(identifier) is str and "0" in identifier and not identifier.strip("0-")


def _device(device: dict[str, Any]) -> dict[str, Any]:
    """The device without advertising ids that are all zeros."""
    for field in ADVERTISING_IDS:
        if _is_zeros(device.get(field)):
            del device[field]
    return device
