"""Checks of single settings: the allowed values, and the message for others.

A value is a text of the environment, or whatever type TOML or a flag gave it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from cdp_stream.core.secret_names import SecretNames

__all__ = [
    "Check",
    "Secret",
    "file_path",
    "milliseconds",
    "one_of",
    "seconds",
    "secret",
    "secret_names",
    "text",
    "topic_prefix",
    "whole",
    "yes_or_no",
]

_MOST_SECONDS = 3600
_LONGEST_PREFIX = 100  # Kafka's limit for a topic name is 249


class Secret:
    """A text that prints as asterisks."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Check:
    """What a setting may be.

    Attributes:
        read: the value as the setting has it; raises TypeError, ValueError or LookupError for one
            that does not fit.
        wanted: what fits, for the message.
        is_secret: whether the value may be neither shown nor kept in a file.
    """

    read: Callable[[object], object]
    wanted: str
    is_secret: bool = False


def whole(least: int, most: int, wanted: str) -> Check:
    """A whole number within bounds, both included."""
    return Check(lambda raw: _number(raw, least, most), wanted)


def one_of(choices: object) -> Check:
    """One of the texts of a `Literal`."""
    names = get_args(choices)

    def read(raw: object) -> object:
        if raw not in names:
            raise ValueError
        return raw

    return Check(read, f"{', '.join(names[:-1])} or {names[-1]}")


def text(wanted: str) -> Check:
    """Any text that is not blank."""
    return Check(_text, wanted)


def topic_prefix() -> Check:
    """The first part of names of topics."""

    def read(raw: object) -> str:
        prefix = _text(raw)
        fits = all(one.isascii() and (one.isalnum() or one in "._-") for one in prefix)
        if not fits or len(prefix) > _LONGEST_PREFIX:
            raise ValueError
        return prefix

    return Check(read, f"letters, digits, '.', '_' and '-', at most {_LONGEST_PREFIX}")


def milliseconds() -> Check:
    """A length of time up to a day: `250ms`, `2s`, or a number of milliseconds."""

    def read(raw: object) -> int:
        number, unit = str(raw).strip(), 1
        if isinstance(raw, str) and number.endswith("ms"):
            number = number.removesuffix("ms")
        elif isinstance(raw, str) and number.endswith("s"):
            number, unit = number.removesuffix("s"), 1000
        return _number(number.strip(), 0, 86_400_000) * unit

    return Check(read, "a duration such as 250ms or 2s")


def seconds() -> Check:
    """A length of time up to an hour, in seconds."""

    def read(raw: object) -> float:
        number = float(str(raw))
        if not 0 < number <= _MOST_SECONDS:
            raise ValueError
        return number

    return Check(read, "seconds, above 0")


def yes_or_no() -> Check:
    """A boolean."""

    def read(raw: object) -> bool:
        return raw if isinstance(raw, bool) else {"true": True, "false": False}[_text(raw).lower()]

    return Check(read, "true or false")


def file_path(wanted: str = "a file") -> Check:
    """A path, as text or as such."""
    return Check(lambda raw: raw if isinstance(raw, Path) else Path(_text(raw)), wanted)


def secret(wanted: str) -> Check:
    """A text that is never shown."""

    def read(raw: object) -> Secret:
        if isinstance(raw, Secret):
            return raw
        if not isinstance(raw, str) or not raw:
            raise ValueError
        return Secret(raw)

    return Check(read, wanted, is_secret=True)


def secret_names() -> Check:
    """Names of environment variables, as a list or separated by commas."""

    def read(raw: object) -> SecretNames:
        if isinstance(raw, SecretNames):
            return raw
        names = raw if isinstance(raw, list) else str(raw).split(",")
        return SecretNames(tuple(str(name).strip() for name in names if str(name).strip()))

    return Check(read, "names of variables, separated by commas; * for any letters")


def _number(raw: object, least: int, most: int) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise TypeError
    number = int(raw)
    if not least <= number <= most:
        raise ValueError
    return number


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError
    return raw
