"""The record around a batch: its size, its JSON, whose it is, which input it came by, when it
arrived.

Each function gives either the part or the `Reject` that the record is; nothing here raises on
input.

Source: docs/events.md, record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import orjson
import xxhash

from cdp_stream.core.model.definition import Input
from cdp_stream.formats import limits
from cdp_stream.formats.rejects import Reason, Reject

Headers = Sequence[tuple[str, bytes | None]]
"""Record headers as Kafka clients give them."""

ERASE: Final = "erase"
"""The header of a record that asks for the erasure of a profile."""

TIME_EXPECTED: Final = f"expected an integer in [0, {limits.GREATEST_TIME}]"

_KEY_EXPECTED = "key: expected the mpid as decimal text of a signed 64-bit integer"
_DECIMAL = re.compile(r"0|-?[1-9][0-9]{0,18}")
_TIME = re.compile(rb"[0-9]{1,15}")
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_ESCAPES = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\.",
    re.DOTALL,
)
"""The escapes of JSON text: whole surrogate pairs, halves of one, all others."""
_EXACT_DIGITS = 20
_LEAST_INTEGER = -(2**63)
_GREATEST_INTEGER = 2**64 - 1
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_CONTAINERS = (dict, list)
_RECORD_BYTES = limits.RECORD_BYTES
_NESTING = limits.NESTING
_loads = orjson.loads
_xxh3 = xxhash.xxh3_64_intdigest


def parse_object(value: bytes) -> tuple[dict[str, Any], int] | Reject:
    """The JSON object of a record, within the limits on size and nesting, and how many opening
    brackets the record has, those within text included.
    """
    if len(value) > _RECORD_BYTES:
        return Reject(
            Reason.TOO_LARGE, f"value: expected at most {limits.RECORD_BYTES} bytes", value
        )
    try:
        batch = _loads(value)
    except orjson.JSONDecodeError as error:
        # orjson has a recursion limit of its own, so valid but deep JSON ends here too.
        if _is_text_deep(value):
            return _too_deep(value)
        try:
            batch = _read_unusual(value)
        except ValueError:
            return Reject(Reason.NOT_JSON, f"value: expected JSON in UTF-8 ({error})", value)
    # Only text of more than 64 opening brackets can be nested deeper. Taking them out is how they
    # are counted at the least cost: `bytes.count` looks at one byte at a time.
    brackets = len(value) - len(value.replace(b"{", b"").replace(b"[", b""))
    if brackets > _NESTING and _is_deep(batch):
        return _too_deep(value)
    if type(batch) is not dict:
        return Reject(Reason.NOT_AN_OBJECT, "$: expected an object", value)
    return batch, brackets


def read_json(value: bytes) -> Any:
    """The JSON of a record, as `parse_object` reads it, of any length.

    Raises:
        ValueError: it is no JSON, or none that could be a batch.
    """
    try:
        return _loads(value)
    except orjson.JSONDecodeError:
        if _is_text_deep(value):
            raise
        return _read_unusual(value)


def _read_unusual(value: bytes) -> Any:
    """JSON that orjson refuses: a number beyond the range of doubles is an infinity, half a
    surrogate pair U+FFFD. All else is read as orjson does.

    Nesting must be within the limit.

    Raises:
        ValueError: it is no JSON.
    """
    text = _ESCAPES.sub(_whole, value.decode())
    return json.loads(text, parse_int=_integer, parse_constant=_refuse)


def _whole(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape["half"] else escape[0]


def _integer(text: str) -> int | float:
    if len(text) <= _EXACT_DIGITS:
        number = int(text)
        if _LEAST_INTEGER <= number <= _GREATEST_INTEGER:
            return number
    return float(text)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _too_deep(value: bytes) -> Reject:
    return Reject(Reason.TOO_LARGE, f"value: expected nesting of at most {limits.NESTING}", value)


def _is_deep(root: Any) -> bool:
    level = [root]
    for _ in range(limits.NESTING):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) in _CONTAINERS
        ]
        if not level:
            return False
    return True


def _is_text_deep(value: bytes) -> bool:
    """The same of text that could not be parsed: the brackets outside of strings, as far as it
    goes.
    """
    brackets = _TEXT.sub(b"", value).translate(None, _ALL_BUT_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > limits.NESTING


def mpid_of(written: Any) -> int | None:
    """The profile id that an integer or its decimal text means; None for anything else."""
    if type(written) is str:
        if not _DECIMAL.fullmatch(written):
            return None
        written = int(written)
    if type(written) is int and limits.LEAST_MPID <= written <= limits.GREATEST_MPID:
        return written
    return None


def mpid_of_key(key: bytes | None) -> int | None:
    """The profile id that a record's key means; None for any other key, and for none."""
    return None if key is None else mpid_of(key.decode("latin-1"))


def identify(batch: Mapping[str, Any], key: bytes | None, value: bytes) -> int | Reject:
    """The profile id of a keyed record: the batch's `mpid`, which must equal the key.

    A key is the one decimal form of its number (`7`, not `007`): another would be put in another
        partition.
    """
    keyed = mpid_of_key(key)
    if keyed is None:
        return Reject(Reason.BAD_KEY, _KEY_EXPECTED, value)
    mpid = identify_alone(batch, value)
    if type(mpid) is int and mpid != keyed:
        return Reject(
            Reason.MPID_KEY_MISMATCH, f"$.mpid: expected the key of the record, {keyed}", value
        )
    return mpid


def identify_alone(batch: Mapping[str, Any], value: bytes) -> int | Reject:
    """The profile id of a batch that has no key beside it (offline)."""
    mpid = mpid_of(batch.get("mpid"))
    if mpid is None:
        return Reject(
            Reason.NO_MPID, "$.mpid: expected a signed 64-bit integer or its decimal text", value
        )
    return mpid


class InputResolver:
    """Finds the input of a batch: header `input`, else `api_key`, else the account's only input."""

    __slots__ = ("_by_api_key", "_ids", "only")

    def __init__(self, inputs: Mapping[str, Input]) -> None:
        self._ids = {input_.id.encode(): input_.id for input_ in inputs.values()}
        self._by_api_key = {
            input_.api_key: input_.id for input_ in inputs.values() if input_.api_key is not None
        }
        self.only = next(iter(inputs.values())).id if len(inputs) == 1 else None
        """The id of the account's only input, None where there are several."""

    def of_record(self, batch: Mapping[str, Any], headers: Headers, value: bytes) -> str | Reject:
        """The input of a record; of several headers `input` the last counts, as in Kafka's own
        clients.
        """
        found: str | Reject | None = None
        for name, content in headers:
            if name == "input":
                found = self._named(content, value)
            elif name == ERASE:
                # Read as a batch, it would let its producer believe that the profile was erased.
                detail = f"header {ERASE}: expected no value beside it"
                return Reject(Reason.BAD_EVENT, detail, value)
        return self._by_batch(batch, value) if found is None else found

    def of_line(self, batch: Mapping[str, Any], input_id: str | None, value: bytes) -> str | Reject:
        """The input of a line; `input_id` replaces the header."""
        if input_id is not None:
            return self._named(input_id.encode(), value)
        return self._by_batch(batch, value)

    def _named(self, name: bytes | None, value: bytes) -> str | Reject:
        found = None if name is None else self._ids.get(name)
        if found is None:
            return Reject(
                Reason.UNKNOWN_INPUT,
                "header input: expected the id of an input of the account",
                value,
            )
        return found

    def _by_batch(self, batch: Mapping[str, Any], value: bytes) -> str | Reject:
        api_key = batch.get("api_key")
        found = self._by_api_key.get(api_key) if type(api_key) is str else None
        if found is None:
            found = self.only
        if found is None:
            detail = (
                "$.api_key: expected the api_key of an input, or a header input with the id of one"
            )
            return Reject(Reason.UNKNOWN_INPUT, detail, value)
        return found


def is_time(value: Any) -> bool:
    """Whether a value is an instant: an integer, not a boolean, up to the end of the year 9999."""
    return type(value) is int and 0 <= value <= limits.GREATEST_TIME


def arrival_of(
    batch: Mapping[str, Any], recorded_at: int | None, value: bytes
) -> int | Reject | None:
    """When a batch arrived: its own timestamp, else the record's; None where neither is there.

    `recorded_at` is the timestamp of the Kafka record, None offline or where the record has none.
    """
    sent_at = batch.get("timestamp_unixtime_ms")
    if sent_at is None:
        return recorded_at
    if type(sent_at) is not int or not 0 <= sent_at <= limits.GREATEST_TIME:
        return Reject(Reason.BAD_EVENT, f"$.timestamp_unixtime_ms: {TIME_EXPECTED}", value)
    if recorded_at is not None and sent_at - recorded_at > limits.CLOCK_SKEW_MS:
        return _future("$.timestamp_unixtime_ms", recorded_at, value)
    return sent_at


def marker_time(
    key: bytes | None, value: bytes | None, headers: Headers, recorded_at: int
) -> int | Reject | None:
    """The instant of a time marker (no key, an empty value, header `time`), None for any other
    record.

    A marker whose time is not one is no marker: as a batch it is rejected as `not_json`. One that
    is too far ahead of its record's timestamp is rejected as a batch would be.
    """
    if key or value:
        return None
    for name, content in reversed(headers):
        if name == "time" and content is not None and _TIME.fullmatch(content):
            time = int(content)
            if time > limits.GREATEST_TIME:
                return None
            if is_time(recorded_at) and time - recorded_at > limits.CLOCK_SKEW_MS:
                return _future("header time", recorded_at, value)
            return time
    return None


def _future(what: str, recorded_at: int, value: bytes | None) -> Reject:
    detail = f"{what}: expected at most an hour after the record's timestamp, {recorded_at}"
    return Reject(Reason.FUTURE_TIME, detail, value)


def asks_erasure(headers: Headers) -> bool:
    """Whether a record with no value asks for the erasure of the profile that its key names."""
    return any(name == ERASE for name, _content in headers)


def erased_mpid(key: bytes | None, value: bytes | None) -> int | Reject:
    """The profile that a record asks to erase."""
    mpid = mpid_of_key(key)
    return Reject(Reason.BAD_KEY, _KEY_EXPECTED, value) if mpid is None else mpid


def text_id(written: Any) -> str | None:
    """The text of a producer's own id (`source_message_id`, `source_request_id`): text, or an
    integer as text.

    Empty text and values of other types are no id: two events without one must not pass for the
        same.
    """
    if type(written) is str:
        return written or None
    return str(written) if type(written) is int else None


def digest_of(identifier: str) -> int:
    """The 64-bit digest of an id, signed."""
    digest = _xxh3(identifier.encode())
    return digest - 2**64 if digest >= 2**63 else digest
