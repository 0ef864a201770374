"""Input that cannot be used: why, and the two forms in which it is handed back (`cdp.rejected`,
`replay --rejected`).

Invariant: what is rejected is never changed. The value of a reject is the record as it came or, for
a bad event, the batch with that event alone; the headers and the line are text, whatever bytes
came.

Source: docs/events.md, bad input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from cdp_stream.core.engine.profile_writing import PROFILE_PART
from cdp_stream.formats import limits


class Reason(StrEnum):
    """Why a record, or a part of it, was rejected; in the order in which a record is checked."""

    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    BAD_KEY = "bad_key"
    NO_MPID = "no_mpid"
    MPID_KEY_MISMATCH = "mpid_key_mismatch"
    UNKNOWN_INPUT = "unknown_input"
    FUTURE_TIME = "future_time"
    WRONG_PARTITION = "wrong_partition"
    BAD_PROFILE = "bad_profile"
    BAD_EVENT = "bad_event"
    PROFILE_TOO_LARGE = "profile_too_large"


class Reject(NamedTuple):
    """One thing that could not be used.

    Attributes:
        detail: the JSON path (or the part of the record) and what was expected there.
        value: the value to publish; None only for a record that had none.
    """

    reason: Reason
    detail: str
    value: bytes | None


_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_LONGEST_KEY = 64


def child_path(path: str, key: str) -> str:
    """The JSON path of a member: `$.a.b`, or `$.a["b c"]` for a key that is not a plain word; long
    keys are cut.
    """
    if len(key) > _LONGEST_KEY:
        key = key[:_LONGEST_KEY] + "…"
    if _PLAIN_KEY.fullmatch(key):
        return f"{path}.{key}"
    return f"{path}[{json.dumps(key, ensure_ascii=False)}]"


def joined(problems: Sequence[str]) -> str:
    """The detail that lists several problems; those that would make it too long are counted."""
    detail = problems[0]
    for count, problem in enumerate(problems[1:], start=1):
        if len(detail) + len(problem) > limits.DETAIL_CHARACTERS:
            return f"{detail}; and {len(problems) - count} more"
        detail = f"{detail}; {problem}"
    return detail


def bad_events(value: bytes, problems: Sequence[tuple[int, str]]) -> list[Reject]:
    """One reject for each bad event, given as (index in the batch, detail), with that event alone.

    The value must have been decoded to a batch before: it is JSON with those events in it.
    """
    return _events_alone(Reason.BAD_EVENT, value, problems)


def too_large_for_profile(value: bytes, refused: Sequence[int], most: int) -> list[Reject]:
    """One reject for each part of a batch that no longer fits its profile, given as `Engine.apply`
    does: the whole record for the profile part, for an event the batch with it alone.

    Args:
        most: how many bytes a profile may take.
    """
    rejects = []
    events = []
    for place in refused:
        if place == PROFILE_PART:
            detail = f"$: expected at most {most} bytes of profile"
            rejects.append(Reject(Reason.PROFILE_TOO_LARGE, detail, value))
        else:
            detail = f"$.events[{place}]: expected at most {most} bytes of profile"
            events.append((place, detail))
    if events:
        rejects.extend(_events_alone(Reason.PROFILE_TOO_LARGE, value, events))
    return rejects


def _events_alone(
    reason: Reason, value: bytes, problems: Sequence[tuple[int, str]]
) -> list[Reject]:
    """A small record of many events beside a large profile part would multiply into gigabytes: once
    the rejects hold `REJECTED_BYTES`, the events that are left share one.
    """
    batch, written = _exact(value)
    events = batch["events"]
    rejects: list[Reject] = []
    size = 0
    for count, (index, detail) in enumerate(problems):
        if size > limits.REJECTED_BYTES:
            left = problems[count:]
            alone = written(batch | {"events": [events[index] for index, _ in left]})
            rejects.append(Reject(reason, joined([detail for _, detail in left]), alone))
            break
        alone = written(batch | {"events": [events[index]]})
        rejects.append(Reject(reason, detail, alone))
        size += len(alone)
    return rejects


def reject_headers(
    reject: Reject, topic: str, partition: int, offset: int
) -> list[tuple[str, bytes]]:
    """The headers of a record of `cdp.rejected`; topic, partition and offset are those of the input
    record.
    """
    return [
        ("reason", reject.reason.value.encode()),
        ("detail", reject.detail.encode()),
        ("topic", topic.encode()),
        ("partition", b"%d" % partition),
        ("offset", b"%d" % offset),
    ]


def rejected_line(reject: Reject, number: int, line: bytes) -> bytes:
    """The line of `cdp replay --rejected` (with its newline) for line `number`, counted from 1, of
    the events.
    """
    return orjson.dumps(
        {
            "line": number,
            "reason": reject.reason.value,
            "detail": reject.detail,
            "value": line.decode(errors="replace"),
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def _exact(value: bytes) -> tuple[dict[str, Any], Callable[[Any], bytes]]:
    """The decoded batch, numbers kept whole (orjson would make floats of integers over 64 bits),
    and what encodes such again.
    """
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        # A number beyond doubles, or half a surrogate pair: both are handed back as they came.
        return json.loads(value, parse_int=_Number, parse_float=_Number), _unusual
    return json.loads(value), _usual


def _usual(node: Any) -> bytes:
    return json.dumps(node, ensure_ascii=False, separators=(",", ":")).encode()


def _unusual(node: Any) -> bytes:
    return _as_written(node).encode()


def _as_written(node: Any) -> str:
    if type(node) is dict:
        members = (f"{json.dumps(key)}:{_as_written(child)}" for key, child in node.items())
        return f"{{{','.join(members)}}}"
    if type(node) is list:
        return f"[{','.join(map(_as_written, node))}]"
    return str(node) if type(node) is _Number else json.dumps(node)
