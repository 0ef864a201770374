"""Reads the steps of one test.

Source: docs/testing.md, steps.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from cdp_stream.definition_tests.batches import (
    EVENT_KEYS,
    PROFILE_KEYS,
    TIME_KEYS,
    ShortForm,
    plain,
)
from cdp_stream.definition_tests.case import Line, Step
from cdp_stream.definition_tests.expectations import EXPECTATION_KEYS, Expectations, read_mpid
from cdp_stream.definition_tests.instants import Times
from cdp_stream.definitions.source.nodes import Mapping, Node, Scalar, shown
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.errors import CdpError
from cdp_stream.offline.lines import LineFile

SOURCE_KEYS: Final = ("profile", "batch", "batches")
STEP_KEYS: Final = (
    *TIME_KEYS, *SOURCE_KEYS, "input", "events", *EVENT_KEYS, *PROFILE_KEYS, "rejected",
    *EXPECTATION_KEYS,
)  # fmt: skip
_OF_A_BATCH: Final = frozenset(("input", "events", *EVENT_KEYS, *PROFILE_KEYS, "rejected"))
_WITH_A_SOURCE: Final = frozenset({"input", "rejected"})


class StepReader:
    """Reads the steps of one test, in order: each begins at the time of the one before it."""

    def __init__(
        self,
        folder: Path,
        times: Times,
        expectations: Expectations,
        inputs: Collection[str] | None,
        problems: Problems,
    ) -> None:
        """Prepare to read.

        Args:
            folder: what paths in the test are relative to.
            times: the present time of the test.
            expectations: the reader of what steps expect.
            inputs: the inputs of the definitions; None where those cannot be used.
            problems: what is wrong is noted here.
        """
        self._folder = folder
        self._times = times
        self._expectations = expectations
        self._inputs = inputs
        self._problems = problems
        self._short = ShortForm(times, problems)
        self._stands_at: int | None = None

    def read(self, node: Node, path: str, default_input: str | None) -> Step | None:
        """One step; None when it is not even a mapping."""
        if not isinstance(node, Mapping):
            self._problems.wrong_type(node, path, "a step: a mapping")
            return None
        self._note_keys(node, path)
        at = self._time(node, path)
        if at is not None:
            self._move(at)
        lines = self._lines(node, path, at, default_input)
        return Step(
            node.mark,
            self._stands_at,
            lines,
            self._rejected(node, path),
            self._expectations.members(node, path),
            self._expectations.changes(node, path),
        )

    def input_of(self, node: Mapping, path: str, default: str | None) -> str | None:
        """The input that a record names, else the default; one that does not exist is noted."""
        name = node.text("input")
        if name is None:
            return default
        if self._inputs is not None and name not in self._inputs:
            advice = self._problems.near_or_list(name, sorted(self._inputs))
            mark = node.entries["input"].value.mark
            message = f"there is no input `{shown(name)}`"
            self._problems.error("unknown-reference", mark, f"{path}.input", message, advice)
            return default
        return name

    def _note_keys(self, node: Mapping, path: str) -> None:
        self._problems.unknown_keys(node, path, STEP_KEYS)
        for keys, advice in (
            (TIME_KEYS, "a step has one time"),
            (SOURCE_KEYS, "make each its own step"),
        ):
            both = [key for key in node.entries if key in keys]
            if len(both) > 1:
                message = f"`{both[0]}` and `{both[1]}` do not go together"
                mark = node.mark_of(both[1])
                self._problems.error("misplaced-key", mark, f"{path}.{both[1]}", message, advice)
        if not node.entries:
            advice = "give it a time, a batch or an expectation"
            self._problems.error("missing-key", node.mark, path, "the step is empty", advice)
        if "input" in node.entries and node.text("input") is None:
            self._problems.wrong_type(node.entries["input"].value, f"{path}.input", "text")

    def _move(self, at: int) -> None:
        self._stands_at = self._times.now = at

    def _time(self, node: Mapping, path: str) -> int | None:
        """The time of the step; None if it has none, and it is the present time of the test."""
        key = next((key for key in TIME_KEYS if key in node.entries), None)
        if key is None:
            return None
        value, where = node.entries[key].value, f"{path}.{key}"
        read = self._times.after if key == "after" else self._times.instant
        found, now = read(value, where), self._stands_at
        if found is not None and now is not None and found < now:
            message = "this is before the step before it"
            advice = "put the steps in order; a late event has an `occurred_at`"
            self._problems.error("time-goes-back", value.mark, where, message, advice)
        return found

    def _lines(
        self, node: Mapping, path: str, at: int | None, default_input: str | None
    ) -> tuple[Line, ...]:
        source = next((key for key in SOURCE_KEYS if key in node.entries), None)
        self._note_misplaced(node, path, source)
        if source is None:
            return ()
        input_id = self.input_of(node, path, default_input)
        value, where = node.entries[source].value, f"{path}.{source}"
        if source == "batches":
            return tuple(Line(content, input_id) for content in self._file(value, where))
        if source == "batch":
            whole = self._whole(value, where, at)
            return () if whole is None else (Line(whole, input_id),)
        mpid = read_mpid(value, where, self._problems)
        if self._times.now is not None:
            self._move(self._times.now)
        batch = self._short.batch(node, path, mpid or 0, self._times.now)
        return (Line(json.dumps(batch).encode(), input_id),)

    def _note_misplaced(self, node: Mapping, path: str, source: str | None) -> None:
        """Note keys of a batch in a step that has none, or has a whole one."""
        if source == "profile":
            return
        for key, entry in node.entries.items():
            if key not in _OF_A_BATCH or (source is not None and key in _WITH_A_SOURCE):
                continue
            if source is None:
                message, advice = f"`{key}` belongs to a batch", "add `profile: MPID`"
            else:
                message, advice = f"`{source}` does not accept `{key}`", f"write it in the {source}"
            at = f"{path}.{key}"
            self._problems.error("misplaced-key", entry.key.mark, at, message, advice)

    def _whole(self, node: Node, path: str, at: int | None) -> bytes | None:
        """A batch in the batch format; the step's time is its arrival where it has none."""
        if not isinstance(node, Mapping):
            self._problems.wrong_type(node, path, "a batch in the batch format")
            return None
        batch: dict[str, Any] = plain(node)
        own = batch.get("timestamp_unixtime_ms")
        if own is None and self._times.now is not None:
            self._move(self._times.now)
            batch["timestamp_unixtime_ms"] = self._times.now
        elif isinstance(own, int) and at is not None and at != own:
            message = "the batch has a time of its own"
            mark = node.mark_of("timestamp_unixtime_ms")
            where = f"{path}.timestamp_unixtime_ms"
            self._problems.error("misplaced-key", mark, where, message, "leave out one of the two")
        elif isinstance(own, int):
            self._move(max(own, self._stands_at or 0))
        return json.dumps(batch).encode()

    def _file(self, node: Node, path: str) -> list[bytes]:
        name = node.value if isinstance(node, Scalar) else None
        if not isinstance(name, str):
            self._problems.wrong_type(node, path, "the path of an event file")
            return []
        file = (self._folder / name).absolute()
        try:
            with LineFile(str(file)) as lines:
                return list(lines)
        except CdpError as error:
            message = error.message.replace(str(file), shown(name))
            advice = "name a file of batches, relative to this one"
            self._problems.error("unreadable-file", node.mark, path, message, advice)
            return []

    def _rejected(self, node: Mapping, path: str) -> int:
        value = node.get("rejected")
        if value is None:
            return 0
        number = value.value if isinstance(value, Scalar) else None
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            self._problems.wrong_type(value, f"{path}.rejected", "a whole number")
            return 0
        return number
