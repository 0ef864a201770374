"""What a field of a definition was and is, for people: on one line, or line by line."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import ndiff
from typing import Any, Final

from cdp_stream.definitions.yaml_text import yaml_text

_AROUND: Final = 2
"""So many lines are shown around one that differs."""


def difference(name: str, before: Any, after: Any) -> list[str]:
    """The lines that show a changed field; one that was there begins with `-`, one that is with
    `+`, every other one with a space or the name.
    """
    if not isinstance(before, dict | list) and not isinstance(after, dict | list):
        return [f"{name}: {_scalar(before)} -> {_scalar(after)}"]
    return [f"{name}:", *_nearby(_lines(before), _lines(after))]


def _scalar(value: Any) -> str:
    return "(not set)" if value is None else yaml_text(value).rstrip("\n")


def _lines(value: Any) -> list[str]:
    return [] if value is None else yaml_text(value).splitlines()


def _nearby(before: list[str], after: list[str]) -> Iterator[str]:
    """The lines that differ, and some around them; `...` where others are left out."""
    lines = [line for line in ndiff(before, after) if not line.startswith("?")]
    shown = {
        near
        for number, line in enumerate(lines)
        if line[0] in "-+"
        for near in range(number - _AROUND, number + _AROUND + 1)
    }
    last = -1
    for number, line in enumerate(lines):
        if number in shown:
            if number != last + 1:
                yield "  ..."
            yield line
            last = number
    if last < len(lines) - 1:
        yield "  ..."
