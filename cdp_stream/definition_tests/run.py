"""Runs one test: the engine of `cdp replay`, asked anew at every instant that is looked at.

A step at an instant sees what `cdp replay --until` that instant would see of the batches before
it. So an expectation in the middle of a test moves no profile's clock, and removing it changes
no other.

Source: docs/testing.md; docs/semantics.md, instants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cdp_stream.core.model.change import Change
from cdp_stream.core.model.event import Batch
from cdp_stream.core.plan.plan import Plan
from cdp_stream.definition_tests.case import (
    Case,
    ExpectedChanges,
    ExpectedMembers,
    Line,
    Standing,
)
from cdp_stream.definition_tests.diff import changes_diff, members_diff, rejects_diff
from cdp_stream.definitions.source.nodes import Mark
from cdp_stream.formats.rejects import Reject
from cdp_stream.offline.replay import Replay


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that does not hold.

    Attributes:
        mark: where it is written.
        at: the instant that was looked at, epoch ms; None where there was no batch.
        title: what was looked at: an audience, `changes`, `rejected`.
        lines: `- ` what was expected and is not, `+ ` what is and was not expected, and with two
            spaces what is as expected.
    """

    mark: Mark
    at: int | None
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A test that was run; it passed when there is no failure."""

    case: Case
    failures: tuple[Failure, ...]

    @property
    def passed(self) -> bool:
        """Whether every expectation holds."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class View:
    """The output of `cdp replay` and `cdp members` at an instant.

    Attributes:
        members: audience id -> mpids.
        changes: in the order of `cdp replay`.
    """

    at: int | None
    members: dict[str, set[int]]
    changes: tuple[Change, ...]


def run_case(case: Case, plan: Plan, on_batch: Callable[[Batch], None] | None = None) -> Outcome:
    """Run one test; `on_batch` is given each batch of it that is applied, once."""
    failures = _rejections(case, plan, on_batch)
    lines: list[Line] = []
    seen: Counter[_Key] = Counter()
    for step in case.steps:
        lines.extend(step.lines)
        if not step.members and not step.changes:
            continue
        view = view_at(plan, lines, step.at)
        failures.extend(
            found
            for expected in step.members
            if (found := _members_failure(expected, view)) is not None
        )
        if step.changes:
            fresh = _fresh(view.changes, seen)
            failures.extend(
                found
                for listed in step.changes
                if (found := _changes_failure(listed, fresh, view.at)) is not None
            )
            seen = Counter(map(_key, view.changes))
    return Outcome(case, tuple(failures))


def view_at(plan: Plan, lines: Sequence[Line], at: int | None) -> View:
    """Replay the lines until an instant, epoch ms; None is their greatest arrival."""
    replay = Replay(plan, until=at)
    changes: list[Change] = []
    for line in lines:
        replay.feed(line.content, changes, line.input_id)
    stands_at = replay.finish(changes.extend)
    changes.sort(key=lambda change: (change.effective_at, change.mpid, change.ordinal))
    members: dict[str, set[int]] = {}
    for mpid, row in replay.rows.items():
        for audience_id in row.members:
            members.setdefault(audience_id, set()).add(mpid)
    return View(stands_at, members, tuple(changes))


def _rejections(case: Case, plan: Plan, on_batch: Callable[[Batch], None] | None) -> list[Failure]:
    """Steps whose number of rejects differs from the expected one."""
    owner: list[int] = []
    rejects: list[list[Reject]] = [[] for _ in case.steps]
    replay = Replay(
        plan,
        on_reject=lambda number, found: rejects[owner[number - 1]].append(found),
        on_batch=on_batch,
    )
    ignored: list[Change] = []
    for index, step in enumerate(case.steps):
        for line in step.lines:
            owner.append(index)
            replay.feed(line.content, ignored, line.input_id)
            ignored.clear()
    return [
        Failure(step.mark, step.at, "rejected", rejects_diff(step.rejected, found))
        for step, found in zip(case.steps, rejects, strict=True)
        if len(found) != step.rejected
    ]


def _members_failure(expected: ExpectedMembers, view: View) -> Failure | None:
    actual = view.members.get(expected.audience_id, set())
    wanted = set(expected.mpids)
    missing: set[int] = set()
    unwanted: set[int] = set()
    if expected.standing is Standing.NOT:
        unwanted = wanted & actual
    else:
        missing = wanted - actual
        if expected.standing is Standing.EXACTLY:
            unwanted = actual - wanted
    if not missing and not unwanted:
        return None
    lines = members_diff(wanted & actual - unwanted, missing, unwanted)
    return Failure(expected.mark, view.at, expected.audience_id, lines)


_Key = tuple[int, int, int, str, str]


def _key(change: Change) -> _Key:
    return (
        change.effective_at,
        change.mpid,
        change.ordinal,
        change.action,
        change.audience_id,
    )


def _fresh(changes: Sequence[Change], seen: Counter[_Key]) -> list[Change]:
    """The changes that were not there at the step before that looked at them."""
    left = seen.copy()
    found = []
    for change in changes:
        key = _key(change)
        if left[key]:
            left[key] -= 1
        else:
            found.append(change)
    return found


def _changes_failure(
    expected: ExpectedChanges, fresh: Sequence[Change], at: int | None
) -> Failure | None:
    actual = [change for change in fresh if expected.audience_id in (None, change.audience_id)]
    lines = changes_diff(expected.changes, actual)
    if lines is None:
        return None
    title = expected.audience_id or "all audiences"
    return Failure(expected.mark, at, f"changes of {title}", lines)
