"""Removes from a partner's message the personal data of the batch that was sent.

A fault is read by operators, kept in `cdp.faults` and shown by commands, and partners repeat what
they were sent: an address that they do not like, a row that does not fit. So identities, attributes
and mpids of the changes that were being delivered are removed: in upper and lower case, as a URL,
JSON or HTML has them, in base64, hashed as they were sent, and cut off at their end. So is
everything else that looks like an email address.

A value of one or two characters identifies nobody, and removing it would blank the message; one of
up to five is removed where it is a word of its own.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote, quote_plus

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.exchange import Request

__all__ = ["PersonalData"]

_SHOWN: Final = "***"
_SHORTEST: Final = 3
_WHOLE_WORD: Final = 5
"""A value of up to so many characters is removed only where it is a word of its own."""
_BEGUN: Final = 8
"""So many first characters of a longer value identify it where it is cut off."""
_HASHES: Final = re.compile(r"[0-9A-Fa-f]{32,128}|[A-Za-z0-9+/_-]{43,88}={0,2}")
"""An identity in a request may be hashed: MD5, SHA-1 or SHA-2, in hexadecimal or base64."""
_TOKEN: Final = re.compile(r"[^\s\"'<>(){}\[\],;:=|]+")
_AT: Final = re.compile(r"@|%40")
_DOMAIN: Final = re.compile(r"\.[A-Za-z]{2}")
_CUT: Final = re.compile(r"\.\.\.|\u2026")
_TOKEN_END: Final = re.compile(r"[\s\"'<>,;]|$")
_NO_DIGITS: Final = re.compile(r"\D+")
_PHONE_DIGITS: Final = 7
_REQUESTS: Final = 8
"""So many last requests of a delivery are remembered: an answer is about a recent one."""


class PersonalData:
    """The personal data in the changes of one delivery; a call returns a text without it.

    Args:
        changes: What is delivered.
    """

    def __init__(self, changes: Sequence[OutputChange[Any]]) -> None:
        self._changes = changes
        self._sent: deque[Request] = deque(maxlen=_REQUESTS)
        self._known: dict[str, tuple[list[int], set[str]]] | None = None
        self._begun: set[str] = set()

    def note(self, request: Request) -> None:
        """Remember what is sent: identities are hashed in it."""
        self._sent.append(request)
        self._known = None

    def __call__(self, text: str) -> str:
        """The text without the personal data."""
        ours = {change.connection for change in self._changes}  # they have an @ in them, too
        text = _without(text, self._places(_lowered(text)))
        return _TOKEN.sub(
            lambda token: _SHOWN if token[0] not in ours and _is_email(token[0]) else token[0], text
        )

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each piece of personal data in the text, in order."""
        known = self._index()
        cuts = [found.start() for found in _CUT.finditer(text)]
        for start in range(len(text) - _SHORTEST + 1):
            if text[start : start + _SHORTEST] not in known:
                continue
            lengths, values = known[text[start : start + _SHORTEST]]
            for length in lengths:
                if text[start : start + length] in values and _counts_at(text, start, length):
                    yield start, start + length
                    break
            else:
                cut = next((cut for cut in cuts if cut >= start + _SHORTEST), len(text))
                is_short = cut - start < lengths[0]
                if is_short and any(one.startswith(text[start:cut]) for one in values):
                    yield start, cut
                elif text[start : start + _BEGUN] in self._begun and _begins_word(text, start):
                    end = _TOKEN_END.search(text, start + _BEGUN)
                    yield start, end.start() if end else len(text)

    def _index(self) -> dict[str, tuple[list[int], set[str]]]:
        """Every form of every value in lower case, by its first characters; the longest first."""
        if self._known is None:
            by_start: dict[str, set[str]] = {}
            for form in self._forms():
                by_start.setdefault(form[:_SHORTEST], set()).add(form)
            self._begun = {
                form[:_BEGUN] for forms in by_start.values() for form in forms if len(form) > _BEGUN
            }
            self._known = {
                start: (sorted({len(form) for form in forms}, reverse=True), forms)
                for start, forms in by_start.items()
            }
        return self._known

    def _forms(self) -> Iterator[str]:
        values = {value for change in self._changes for value in _values(change)}
        for value in values:
            for form in _forms_of(value):
                if len(form) >= _SHORTEST:
                    yield _lowered(form)
        for request in self._sent:
            sent = f"{request.url}\n{request.body.decode('utf-8', 'replace')}"
            yield from (_lowered(found) for found in _HASHES.findall(sent))


def _values(change: OutputChange[Any]) -> Iterator[str]:
    """The personal data in a change."""
    yield change.mpid
    for _, identity in change.identities:
        yield identity
        local, at, _ = identity.partition("@")
        if at:
            yield local
    yield from _texts(change.attributes.values())


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """The texts and numbers in JSON data."""
    left = list(values)
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield json.dumps(value)


def _forms_of(value: str) -> set[str]:
    """A value as it may be written in an answer."""
    plain = " ".join(value.split())
    forms = {value, plain, html.escape(plain)}
    if plain.isalnum() and plain.isascii():
        return forms | {base64.b64encode(plain.encode()).decode().rstrip("=")}
    text = plain.encode("utf-8", "replace").decode()
    forms |= {quote(text, safe=""), quote(text), quote_plus(text)}
    for ascii_only in (True, False):
        once = json.dumps(plain, ensure_ascii=ascii_only)[1:-1]
        forms |= {once, once.replace("/", "\\/"), json.dumps(once, ensure_ascii=ascii_only)[1:-1]}
    forms.add(base64.b64encode(text.encode()).decode().rstrip("="))
    digits = _NO_DIGITS.sub("", plain)
    if len(digits) >= _PHONE_DIGITS and 2 * len(digits) > len(plain):
        forms |= {digits, digits.lstrip("0")}
    return forms


def _lowered(text: str) -> str:
    """In small letters, of which there are as many as before."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := one.lower()) == 1 else one for one in text)


def _is_email(token: str) -> bool:
    at = _AT.search(token, 1)
    return at is not None and _DOMAIN.search(token, at.end() + 1) is not None


def _counts_at(text: str, start: int, length: int) -> bool:
    """Whether a value counts there: a short one does where no word goes on beside it."""
    if length > _WHOLE_WORD:
        return True
    return _begins_word(text, start) and not text[start + length : start + length + 1].isalnum()


def _begins_word(text: str, start: int) -> bool:
    return start == 0 or not text[start - 1].isalnum()


def _without(text: str, places: Iterable[tuple[int, int]]) -> str:
    parts: list[str] = []
    at = 0
    for start, end in places:
        if end <= at:
            continue
        if start > at or not parts:
            parts += [text[at:start], _SHOWN]
        at = end
    return "".join([*parts, text[at:]])
