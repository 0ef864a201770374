"""`${NAME}` in settings, filled in when a sink starts; and removing the secrets from what is shown.

Source: docs/definitions.md, environment variables.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from cdp_stream.core.secret_names import REFERENCE, USUAL, SecretNames, names_in

__all__ = ["Redaction", "Secrets"]

_SHORTEST: Final = 4
"""Shorter secrets are in too many words by chance."""
_SHOWN: Final = "***"
_PASSING: Final = 400
_SHORTEST_INSIDE: Final = 8
"""Shorter values of a secret that is a JSON object are plain words of it, more likely than keys."""
_PUBLIC_INSIDE: Final = frozenset({"type", "universe_domain"})
"""Members of Google's key files that are no secrets: else no address of Google could be read."""


class Secrets:
    """The variables of the process that settings may take.

    Args:
        environment: The process's.
        names: Those that operators allow.
    """

    def __init__(self, environment: Mapping[str, str], names: SecretNames = USUAL) -> None:
        self._values = {name: text for name, text in environment.items() if names.allows(name)}
        self._names = names

    def has(self, name: str) -> bool:
        """Whether a variable is set, and allowed."""
        return name in self._values

    def why_not(self, name: str) -> str | None:
        """Why a variable may not be used though it may be set; None where it is allowed."""
        return None if self._names.allows(name) else self._names.refusal(name)

    def lacking(self, settings: object) -> list[str]:
        """Why settings cannot be filled in, a clause for each variable; none where they can be."""
        names = [name for name in dict.fromkeys(names_in(settings)) if not self.has(name)]
        return [
            self.why_not(name) or f"{name} is not set in the worker's environment" for name in names
        ]

    def used_by(self, settings: object) -> Iterator[str]:
        """The values of the variables that settings use; none may be lacking."""
        return (self._values[name] for name in names_in(settings))

    def filled(self, settings: Any) -> Any:
        """Settings with every variable filled in; none may be lacking."""
        if isinstance(settings, str):
            return REFERENCE.sub(lambda found: self._values[found[1]], settings)
        if isinstance(settings, Mapping):
            return {key: self.filled(value) for key, value in settings.items()}
        if isinstance(settings, list | tuple):
            return [self.filled(value) for value in settings]
        return settings


class Redaction:
    """Removes secrets from a text before it is shown: partners quote what they were sent."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._passing: deque[str] = deque(maxlen=_PASSING)
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Never show this text, nor it in base64, as part of a URL or in JSON.

        Of one that is a JSON object itself, as a key file is, none of its longer texts either.
        """
        # Settings lose the spaces and line ends around them that variables often have.
        if secret != secret.strip():
            self.add(secret.strip())
        if len(secret) < _SHORTEST or secret in self._secrets:
            return
        encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
        for form in (secret, quote(secret, safe=""), encoded):
            self._secrets |= _in_json(form)
        for inside in _values_inside(secret):
            self.add(inside)

    def add_passing(self, secret: str) -> None:
        """Do not show this for a while: one request contains it, such as a signature."""
        if len(secret) >= _SHORTEST and secret not in self._secrets:
            self._passing.extend(_in_json(secret))

    def __call__(self, text: str, is_cut: bool = False) -> str:
        """The text without them.

        Args:
            is_cut: Whether the text went on: then the beginning of one at its end goes too.
        """
        secrets = sorted({*self._secrets, *self._passing}, key=len, reverse=True)
        for secret in secrets:
            text = text.replace(secret, _SHOWN)
        if is_cut:
            text = text.rstrip("\ufffd")  # half of a letter
            text = text[: len(text) - max((_begun(secret, text) for secret in secrets), default=0)]
        return text


def _in_json(text: str) -> set[str]:
    """A text, and as JSON has it: letters beyond ASCII and slashes may be escaped there, or not."""
    escaped = {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return {text, *escaped, *(one.replace("/", "\\/") for one in escaped)}


def _values_inside(secret: str) -> list[str]:
    """The longer texts of a secret that is a JSON object; none where it is not."""
    try:
        parsed = json.loads(secret)
    except (ValueError, RecursionError):
        return []
    found: list[str] = []
    left: list[Any] = [parsed] if isinstance(parsed, dict) else []
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += [value for key, value in one.items() if key not in _PUBLIC_INSIDE]
        elif isinstance(one, list):
            left += one
        elif isinstance(one, str) and len(one) >= _SHORTEST_INSIDE:
            found.append(one)
    return found


def _begun(secret: str, text: str) -> int:
    """How many characters at the end of a text are the beginning of a secret."""
    longest = min(len(secret) - 1, len(text))
    return next((size for size in range(longest, 0, -1) if text.endswith(secret[:size])), 0)
