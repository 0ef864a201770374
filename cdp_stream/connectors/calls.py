"""What calls of partners have in common: JSON bodies, credentials, parts, pages of lists."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import orjson

from cdp_stream.connectors.exchange import (
    Answer,
    Delivery,
    Fault,
    Outcome,
    Request,
    Token,
    TokenFetch,
)
from cdp_stream.connectors.members.members import Member
from cdp_stream.connectors.settings import HttpSettings

__all__ = [
    "Refusals", "Sent", "basic", "dropped", "form_request", "host", "id_of", "in_parts",
    "json_request", "mapping_of", "no_list", "not_made", "refreshed", "remove_then_add",
    "seconds_until", "text_of", "unknown_list",
]  # fmt: skip

_NOT_THERE: Final = frozenset({404, 410})
_TOKEN_LASTS_S: Final = 1_800
_MANY, _PROOF = 100, 32
_REFUSED_ALL: Final = (
    "the partner refuses every request: {}; correct the settings, then resume the connection"
)

R = TypeVar("R")
Sent = Generator[Request, Answer, Mapping[int, str] | str]
"""Sends rows; returns index -> why that row alone was refused, or why all of them were."""
Refusals = Generator[Request, Answer, list[tuple[Member, str]]]
"""Sends members; returns those that were refused, and why."""


def json_request(method: str, url: str, value: Any) -> Request:  # noqa: ANN401 - any JSON
    """A request with a JSON body. Integers may be of any size, as in attributes."""
    try:
        body = orjson.dumps(value)
    except TypeError:
        body = json.dumps(value, separators=(",", ":")).encode()
    return Request(method, url, body, {"content-type": "application/json"})


def form_request(url: str, form: Mapping[str, str | None], **headers: str) -> Request:
    """A POST of a form, as token endpoints expect it."""
    kind = {"content-type": "application/x-www-form-urlencoded"}
    return Request("POST", url, urlencode(form).encode(), {**kind, **headers})


def host(settings: HttpSettings, usual: str, version: str = "") -> str:
    """Where the partner is: `api_url`, or the usual address.

    Args:
        version: the path that all addresses begin with; `api_url` may have it or not.
    """
    return (settings.api_url or usual).rstrip("/").removesuffix(version)


def basic(user: str, password: str) -> str:
    """The value of an `Authorization` header with a user and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def in_parts(
    rows: Sequence[R], size: int, send: Callable[[Sequence[R]], Sent]
) -> Generator[Request, Answer, list[tuple[R, str]]]:
    """Send rows in parts of at most `size`; returns those that were refused, and why.

    A part that is refused as a whole is sent again in halves, down to the row that is to blame, so
    that one bad row delays no other. So sending a row twice must do no harm.

    Raises:
        Fault: of many rows, the first are all refused: it is not they who are to blame.
    """
    refused: list[tuple[R, str]] = []
    some_accepted = len(rows) < _MANY
    waiting = [rows[start : start + size] for start in range(0, len(rows), size)]
    waiting.reverse()
    while waiting:
        part = waiting.pop()
        answered = yield from send(part)
        if not isinstance(answered, str):
            some_accepted = True
            refused += [(part[index], why) for index, why in answered.items() if index < len(part)]
        elif len(part) > 1:
            middle = len(part) // 2
            waiting += [part[middle:], part[:middle]]
        elif not some_accepted and len(refused) >= _PROOF:
            raise Fault("connection", _REFUSED_ALL.format(answered))
        else:
            refused.append((part[0], answered))
    return refused


def remove_then_add(
    members: Iterable[Member], size: int, send: Callable[[bool, Sequence[Member]], Sent]
) -> Refusals:
    """Send who is out of the list, then who is in, in parts of at most `size`.

    Args:
        send: is given whether the part's members are in.
    """
    by_side: tuple[list[Member], list[Member]] = ([], [])
    for member in members:
        by_side[member.is_in].append(member)
    refused = yield from in_parts(by_side[False], size, partial(send, False))
    refused += yield from in_parts(by_side[True], size, partial(send, True))
    return refused


def id_of(name: str, rows: Iterable[Mapping[str, Any]]) -> str | None:
    """The `id` of the first row with this `name`; None when no row has it."""
    ids = (text_of(row.get("id")) for row in rows if row.get("name") == name)
    return next(filter(None, ids), None)


def mapping_of(value: object, *keys: str) -> dict[str, Any]:
    """The mapping under keys of what a partner answered; empty when there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def text_of(value: object) -> str | None:
    """An id: text, or a number as text; None when it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def seconds_until(answer: Answer, *headers: str) -> float | None:
    """Seconds from the answer's own date to the instant, epoch s, that one of these headers gives;
    None when none does.
    """
    instant = next(filter(None, map(answer.headers.get, headers)), None)
    try:
        now = parsedate_to_datetime(answer.headers["date"]).timestamp()
        return max(0.0, float(instant or "") - now)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def refreshed(title: str, request: Request, now: int, cure: str) -> TokenFetch:
    """An access token for a refresh token.

    Args:
        request: with the refresh token, as OAuth 2.0 has it.
        now: epoch ms.
        cure: what to see to when it is refused.
    """
    answer = yield request
    value, lasts = text_of(answer.at("access_token")), text_of(answer.at("expires_in"))
    if not answer.ok or value is None:
        # Its own words alone: a body that we do not know might repeat the token.
        words = (answer.at(key) for key in ("error", "error_description", "code", "message"))
        answered = " ".join(str(one) for one in words if isinstance(one, str | int))
        raise Fault("output", f"{title} gave no access token: {answer.status} {answered}; {cure}")
    seconds = int(lasts) if lasts is not None and lasts.isdecimal() else _TOKEN_LASTS_S
    return Token(value, now + 1000 * seconds)


def no_list(title: str, connection: str, cure: str) -> Fault:
    """A connection has no list, and none can be made."""
    return Fault("connection", f"{connection} names no list of {title}; {cure}, then resume it")


def unknown_list(title: str, list_id: str | None, answer: Answer) -> Fault:
    """The partner has no list of that id."""
    return Fault(
        "connection",
        f"{title} does not know the list {list_id}: {answer.words()}; correct `list_id`, "
        "then resume the connection",
    )


def not_made(title: str, name: str, answer: Answer) -> Fault:
    """The partner did not find or make a list."""
    return Fault(
        "connection",
        f"{title} created no list {name!r}: {answer.words()}; create it there and set `list_id`, "
        "then resume the connection",
    )


def dropped(title: str, url: str, headers: Mapping[str, str] = MappingProxyType({})) -> Delivery:
    """Delete the list at this address. One that is not there counts as deleted."""
    answer = yield Request("DELETE", url, b"", headers)
    if answer.ok or answer.status in _NOT_THERE:
        return Outcome()
    raise Fault(
        "connection",
        f"{title} did not delete the list: {answer.words()}; see to it there, "
        "then resume the connection",
    )
