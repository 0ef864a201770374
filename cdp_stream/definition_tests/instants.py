"""Instants of a test file: absolute, or relative to the present time of the test.

Source: docs/testing.md, time.
"""

from __future__ import annotations

from typing import Final

from cdp_stream.core.model.operators import instant_of
from cdp_stream.definitions.source.durations import duration_ms
from cdp_stream.definitions.source.nodes import Node, Scalar, describe, shown
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.formats.limits import GREATEST_TIME

INSTANT_ADVICE: Final = "write `2026-01-01T10:00:00Z`, a date, epoch milliseconds, or `+3d`"
SPAN_ADVICE: Final = "write durations as `3d`, or several as `3d 1ms`"


def span_ms(text: str) -> int | None:
    """The milliseconds of `3d`, or of several durations as `3d 1ms`; None for anything else."""
    lengths = [duration_ms(term) for term in text.split()]
    if not lengths or None in lengths:
        return None
    return sum(length for length in lengths if length is not None)


def _unsigned(text: str) -> str:
    return text[1:] if text[:1] in {"+", "-"} else text


class Times:
    """Reads the instants of one test.

    Attributes:
        start: what a duration with no sign counts from, epoch ms; None where the test has none.
        now: the present time of the test, epoch ms; `+3d` and `-3d` are relative to it.
    """

    def __init__(self, start: int | None, problems: Problems) -> None:
        self.start = start
        self.now = start
        self._problems = problems

    def instant(self, node: Node, path: str) -> int | None:
        """The instant that a value means; None when it is none, with the problem noted."""
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, str) and (span := span_ms(_unsigned(value))) is not None:
            found = self._counted(node, path, value, span)
        elif isinstance(value, bool) or not isinstance(value, int | str):
            found = None
            self._problems.wrong_type(node, path, "an instant", INSTANT_ADVICE)
        else:
            found = instant_of(value)
            if found is None:
                message = f"`{shown(str(value))}` is not a valid instant"
                self._problems.error("bad-instant", node.mark, path, message, INSTANT_ADVICE)
        if found is None or 0 <= found <= GREATEST_TIME:
            return found
        message = f"{describe(node)} is outside the years 1970 to 9999"
        self._problems.error("bad-instant", node.mark, path, message, INSTANT_ADVICE)
        return None

    def span(self, node: Node, path: str) -> int | None:
        """The length of a duration in ms; None when it is none, with the problem noted."""
        value = node.value if isinstance(node, Scalar) else None
        if not isinstance(value, str):
            self._problems.wrong_type(node, path, "a duration", SPAN_ADVICE)
            return None
        span = span_ms(value)
        if span is None:
            message = f"`{shown(value)}` is not a valid duration"
            self._problems.error("bad-duration", node.mark, path, message, SPAN_ADVICE)
        return span

    def after(self, node: Node, path: str) -> int | None:
        """The instant a duration after the present time of the test."""
        span = self.span(node, path)
        return None if span is None else self._counted(node, path, "+", span)

    def _counted(self, node: Node, path: str, sign: str, span: int) -> int | None:
        base = self.now if sign[0] in "+-" else self.start
        if base is not None:
            return base - span if sign[0] == "-" else base + span
        message = "there is nothing yet to count this duration from"
        advice = "give the test a `start`, or write an instant here"
        self._problems.error("bad-instant", node.mark, path, message, advice)
        return None
