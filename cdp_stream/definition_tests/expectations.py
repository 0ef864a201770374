"""Reads what a step expects: members of audiences, and changes.

Source: docs/testing.md, expectations.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from cdp_stream.core.model.change import ADD, CAUSES, DELETE
from cdp_stream.definition_tests.case import (
    ExpectedChange,
    ExpectedChanges,
    ExpectedMembers,
    Standing,
)
from cdp_stream.definition_tests.instants import Times
from cdp_stream.definitions.source.nodes import Mapping, Node, Scalar, Sequence, describe, shown
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.formats.envelope import mpid_of

CHANGES: Final = "changes"
EXPECTATION_KEYS: Final = (*(str(standing) for standing in Standing), CHANGES)
_ACTIONS: Final = (ADD, DELETE)
_LISTED: Final = 20
"""So many audiences are named in a message, no more."""


def read_mpid(node: Node, path: str, problems: Problems) -> int | None:
    """A profile id; None when it is none, with the problem noted."""
    mpid = mpid_of(node.value) if isinstance(node, Scalar) else None
    if mpid is None:
        advice = "write a whole number of 64 bits"
        problems.error(
            "bad-value", node.mark, path, f"{describe(node)} is not a valid profile id", advice
        )
    return mpid


class Expectations:
    """Reads the expectations of one test.

    Attributes:
        audiences: ids of audiences and milestones; None where the definitions cannot be used, and
            then no name is looked up.
    """

    def __init__(self, audiences: Collection[str] | None, times: Times, problems: Problems) -> None:
        self.audiences = audiences
        self._times = times
        self._problems = problems

    def members(self, step: Mapping, path: str) -> tuple[ExpectedMembers, ...]:
        """What the step expects of members, in the order of the file."""
        found = []
        for standing in Standing:
            node = step.get(standing)
            if node is None:
                continue
            where = f"{path}.{standing}"
            if not isinstance(node, Mapping) or not node.entries:
                expected = "a mapping from audiences to lists of profiles"
                self._problems.wrong_type(node, where, expected)
                continue
            for audience_id, entry in node.entries.items():
                at = f"{where}.{shown(audience_id)}"
                self._known(audience_id, entry.key, at)
                mpids = self._mpids(entry.value, at)
                found.append(ExpectedMembers(audience_id, standing, mpids, entry.key.mark))
        return tuple(found)

    def changes(self, step: Mapping, path: str) -> tuple[ExpectedChanges, ...]:
        """What the step expects of changes."""
        node = step.get(CHANGES)
        where = f"{path}.{CHANGES}"
        if node is None:
            return ()
        mark = step.mark_of(CHANGES)
        if isinstance(node, Sequence):
            return (ExpectedChanges(None, self._list(node, where, None), mark),)
        if not isinstance(node, Mapping) or not node.entries:
            expected = "a list of changes, or a mapping from audiences to such lists"
            self._problems.wrong_type(node, where, expected)
            return ()
        found = []
        for audience_id, entry in node.entries.items():
            at = f"{where}.{shown(audience_id)}"
            self._known(audience_id, entry.key, at)
            if isinstance(entry.value, Sequence):
                listed = self._list(entry.value, at, audience_id)
                found.append(ExpectedChanges(audience_id, listed, entry.key.mark))
            else:
                self._problems.wrong_type(entry.value, at, "a list of changes")
        return tuple(found)

    def _mpids(self, node: Node, path: str) -> tuple[int, ...]:
        if not isinstance(node, Sequence):
            self._problems.wrong_type(node, path, "a list of profiles", "`[]` means no members")
            return ()
        read = [
            read_mpid(item, f"{path}[{index}]", self._problems)
            for index, item in enumerate(node.items)
        ]
        return tuple(sorted({mpid for mpid in read if mpid is not None}))

    def _list(
        self, node: Sequence, path: str, audience_id: str | None
    ) -> tuple[ExpectedChange, ...]:
        read = [
            self._change(item, f"{path}[{index}]", audience_id)
            for index, item in enumerate(node.items)
        ]
        return tuple(change for change in read if change is not None)

    def _change(self, node: Node, path: str, audience_id: str | None) -> ExpectedChange | None:
        """`{add: 7, audience: a, at: T, variant: V, cause: time}`; under an audience without it."""
        if not isinstance(node, Mapping):
            self._problems.wrong_type(node, path, "a change, as `{add: 7, audience: ID}`")
            return None
        keys = (*_ACTIONS, *(("audience",) if audience_id is None else ()))
        keys = (*keys, "at", "variant", "cause")
        self._problems.unknown_keys(node, path, keys)
        actions = [key for key in _ACTIONS if key in node.entries]
        if len(actions) != 1:
            message, advice = "a change has one of `add` and `delete`", "add `add: MPID`"
            self._problems.error("missing-key", node.mark, path, message, advice)
            return None
        (action,) = actions
        mpid = read_mpid(node.entries[action].value, f"{path}.{action}", self._problems)
        if audience_id is None:
            audience_id = self._named(node, path)
        at = node.get("at")
        instant = None if at is None else self._times.instant(at, f"{path}.at")
        cause = self._text(node, "cause", path)
        if cause is not None and cause not in CAUSES:
            written, message = node.entries["cause"].value, f"`{shown(cause)}` is not a valid cause"
            self._problems.bad_word(written, f"{path}.cause", message, CAUSES)
        if mpid is None or audience_id is None:
            return None
        variant = self._text(node, "variant", path)
        return ExpectedChange(action, audience_id, mpid, instant, variant, cause)

    def _named(self, node: Mapping, path: str) -> str | None:
        """The audience that a change of the plain list names."""
        if "audience" not in node.entries:
            message = "the key `audience` is missing"
            self._problems.error("missing-key", node.mark, path, message, "add `audience: ID`")
            return None
        name = self._text(node, "audience", path)
        if name is not None:
            self._known(name, node.entries["audience"].value, f"{path}.audience")
        return name

    def _text(self, node: Mapping, key: str, path: str) -> str | None:
        value = node.get(key)
        return None if value is None else self._problems.text_of(value, f"{path}.{key}")

    def _known(self, audience_id: str, node: Node, path: str) -> None:
        if self.audiences is None or audience_id in self.audiences:
            return
        known = sorted(self.audiences)
        advice = self._problems.near(audience_id, known) or "defined are: " + (
            ", ".join(f"`{name}`" for name in known[:_LISTED]) or "none"
        )
        message = f"there is no audience or milestone `{shown(audience_id)}`"
        self._problems.error("unknown-reference", node.mark, path, message, advice)
