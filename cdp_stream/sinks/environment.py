"""`${NAME}` in settings, filled in when a sink starts; and keeping what came in to ourselves.

Source: docs/definitions.md, environment variables.
"""

from __future__ import annotations

import base64
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

__all__ = ["Redaction", "filled", "names_in"]

_NAME: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SHORTEST: Final = 4
"""Shorter secrets are in too many words by chance."""
_SHOWN: Final = "***"
_PASSING: Final = 400


def names_in(settings: object) -> Iterator[str]:
    """The names of the variables that settings ask for, however deep."""
    if isinstance(settings, str):
        yield from _NAME.findall(settings)
    elif isinstance(settings, Mapping):
        for value in settings.values():
            yield from names_in(value)
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from names_in(value)


def filled(settings: Any, environment: Mapping[str, str]) -> Any:
    """Settings with every variable filled in.

    Raises:
        KeyError: one is not set.
    """
    if isinstance(settings, str):
        return _NAME.sub(lambda found: environment[found[1]], settings)
    if isinstance(settings, Mapping):
        return {key: filled(value, environment) for key, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [filled(value, environment) for value in settings]
    return settings


class Redaction:
    """Takes secrets out of a text before it is shown: partners quote what they were sent."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._passing: deque[str] = deque(maxlen=_PASSING)
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Never show this text, nor it in base64 or as part of a URL."""
        # Settings lose the spaces and line ends around them that variables often have.
        if secret != secret.strip():
            self.add(secret.strip())
        if len(secret) >= _SHORTEST and secret not in self._secrets:
            encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
            self._secrets |= {secret, quote(secret, safe=""), encoded}

    def add_passing(self, secret: str) -> None:
        """Do not show this for a while: it goes with one request, as a signature does."""
        if len(secret) >= _SHORTEST and secret not in self._secrets:
            self._passing.append(secret)

    def __call__(self, text: str) -> str:
        """The text without them."""
        for secret in sorted({*self._secrets, *self._passing}, key=len, reverse=True):
            text = text.replace(secret, _SHOWN)
        return text
