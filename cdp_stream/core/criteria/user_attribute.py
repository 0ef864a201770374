"""A test on a user attribute of the profile within one workspace. It keeps nothing: the row has the
value.
"""

from __future__ import annotations

from typing import Any

from cdp_stream.core.model.operators import (
    DATED,
    MISSING,
    Test,
    dated_change,
    dated_test,
    value_test,
)
from cdp_stream.core.model.row import FOREVER, Row


class UserAttribute:
    """A test on the value of one attribute; a date test also changes by passing time.

    Attributes:
        is_dated: whether its value can change by itself.
    """

    __slots__ = ("_at", "_test", "_window", "audiences", "is_dated", "key", "workspace")

    def __init__(self, workspace: str, key: str, test: Test) -> None:
        self.workspace = workspace
        self.key = key
        self.audiences: tuple[int, ...] = ()
        self.is_dated = test.operator == DATED
        if self.is_dated:
            self._window = test.operand
            self._at = dated_test(test.operand)
        else:
            self._test = value_test(test)

    def accepts(self, value: Any, at: int) -> bool:
        """Whether the test holds for this value (or MISSING) at the instant `at`."""
        return self._at(value, at) if self.is_dated else self._test(value)

    def holds(self, row: Row, at: int) -> bool:
        return self.accepts(self._value(row), at)

    def next_due(self, row: Row, after: int) -> int:
        if not self.is_dated:
            return FOREVER
        change = dated_change(self._window, self._value(row), after)
        return FOREVER if change is None else change

    def _value(self, row: Row) -> Any:
        space = row.spaces.get(self.workspace)
        return MISSING if space is None else space.attributes.get(self.key, MISSING)
