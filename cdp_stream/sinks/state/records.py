"""The form of the records of `cdp.faults` and `cdp.sink-state`.

Anyone who may write to these topics can write anything. A record that does not have the form that
sinks write is passed over, and the value that its key had before counts. A member that is not known
here is left alone, as a later release may have written it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
import orjson

__all__ = ["Check", "decoded", "fault_problem", "state_problem"]

MOST_BYTES: Final = 1 << 20
_MOST_CONFIRMED: Final = 100_000
_LAST_INSTANT: Final = 253_402_300_799_999
"""The end of the year 9999, epoch ms: later ones cannot be written as a date."""

Check = Callable[[str, Mapping[str, Any]], str | None]
"""Of a key and what its value decoded to: what is wrong with them, None when nothing is."""

_Offset = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Instant = Annotated[int, msgspec.Meta(ge=0, le=_LAST_INSTANT)]
_Range = tuple[_Offset, _Offset]


class _Fault(msgspec.Struct):
    id: str
    output: str
    state: Literal["running", "paused", "faulted"]
    since: _Instant
    connection: str | None = None
    message: str | None = None
    next_step: str | None = None


class _Course(msgspec.Struct):
    offset: _Offset
    seen: _Offset | None = None
    owed: _Offset = 0
    since: _Instant | None = None
    confirmed: list[_Range] = []


class _Position(msgspec.Struct):
    connections: dict[str, _Course] = {}
    confirmed: list[_Range] = []


class _Output(msgspec.Struct):
    connector: str
    removed: bool = False
    connections: list[str] = []


class _List(msgspec.Struct):
    list_id: str


class _WantedList(msgspec.Struct):
    message_id: str
    action: str
    audience_id: str
    audience_name: str
    connection: str
    settings: dict[str, Any]


class _Digests(msgspec.Struct):
    settings: list[str]


class _Deletion(msgspec.Struct):
    deletion: str
    overdue: bool = False
    passed: bool = False


class _Deleted(msgspec.Struct):
    deletions: dict[str, str]


class _SentAgain(msgspec.Struct):
    offsets: list[_Range]


_KINDS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "position": _Position,
    "output": _Output,
    "list": _List,
    "wanted-list": _WantedList,
    "settings": _Digests,
    "refused": _Digests,
    "audience-delete": _Deletion,
    "audience-deleted": _Deleted,
    "sent-again": _SentAgain,
}
"""By what keys of `cdp.sink-state` begin with."""


def decoded(
    key: bytes | None, value: bytes | None, check: Check
) -> tuple[str, dict[str, Any] | None]:
    """The key of a record, and its value; None for a tombstone.

    Raises:
        ValueError: It does not have the form of the topic's records; the message is the reason.
    """
    try:
        name = (key or b"").decode()
    except UnicodeDecodeError:
        raise ValueError("its key is not text") from None
    if not name:
        raise ValueError("it has no key")
    if not value:
        return name, None
    if len(value) > MOST_BYTES:
        raise ValueError(f"it has {len(value):,} bytes, of {MOST_BYTES:,} at most")
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise ValueError("its value is not JSON") from None
    if not isinstance(found, dict):
        raise ValueError("its value is not an object")  # noqa: TRY004 - of what was read
    problem = check(name, found)
    if problem is not None:
        raise ValueError(problem)
    return name, found


def fault_problem(key: str, value: Mapping[str, Any]) -> str | None:
    """What is wrong with a record of `cdp.faults`."""
    record = _converted(value, _Fault)
    if isinstance(record, str):
        return record
    if record.id != key or (record.connection or record.output) != key:
        return "its key is not that of the output or connection that it names"
    return None


def state_problem(key: str, value: Mapping[str, Any]) -> str | None:
    """What is wrong with a record of `cdp.sink-state`."""
    kind = key.partition(":")[0]
    form = _KINDS.get(kind)
    if form is None:
        return "its key is of no kind that is known here"
    record = _converted(value, form)
    if isinstance(record, str):
        return f"{kind}: {record}"
    if isinstance(record, _Position):
        ranges = [*record.confirmed]
        for course in record.connections.values():
            ranges += course.confirmed
        if sum(max(0, last + 1 - first) for first, last in ranges) > _MOST_CONFIRMED:
            return f"{kind}: it names more than {_MOST_CONFIRMED:,} offsets"
    return None


def _converted(value: Mapping[str, Any], form: type[msgspec.Struct]) -> Any:
    """A value in a form; or as text, without the value, why it does not have it."""
    try:
        return msgspec.convert(value, form)
    except RecursionError:
        return "it is nested too deeply"
    except msgspec.ValidationError as error:
        why, _, where = str(error).partition(" - at ")
        return f"it has another form at {where}" if where else why
