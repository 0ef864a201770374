"""What was expected beside what is, a line each.

`- ` was expected and is not, `+ ` is and was not expected, two spaces are as expected.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from difflib import SequenceMatcher

from cdp_stream.core.model.change import Change
from cdp_stream.definition_tests.case import ExpectedChange
from cdp_stream.formats.rejects import Reject


def members_diff(
    kept: Collection[int], missing: Collection[int], unwanted: Collection[int]
) -> tuple[str, ...]:
    """Profiles in numeric order: as expected, missing, and members that should be none."""
    lines = {mpid: f"  {mpid}" for mpid in kept}
    lines |= {mpid: f"- {mpid}  expected, is not a member" for mpid in missing}
    lines |= {mpid: f"+ {mpid}  is a member, not expected" for mpid in unwanted}
    return tuple(lines[mpid] for mpid in sorted(lines))


def rejects_diff(expected: int, rejects: Sequence[Reject]) -> tuple[str, ...]:
    """How many rejects were expected, and each that there is."""
    return (
        f"- {expected} rejected",
        f"+ {len(rejects)} rejected",
        *(f"+   {reject.reason.value}: {reject.detail}" for reject in rejects),
    )


def changes_diff(
    expected: Sequence[ExpectedChange], actual: Sequence[Change]
) -> tuple[str, ...] | None:
    """The two lists side by side, in order; None when they agree."""
    wanted = _wanted(expected, actual)
    found = [_change_text(change) for change in actual]
    if wanted == found:
        return None
    lines: list[str] = []
    matcher = SequenceMatcher(None, wanted, found, autojunk=False)
    for kind, start, end, found_start, found_end in matcher.get_opcodes():
        if kind == "equal":
            lines.extend(f"  {text}" for text in wanted[start:end])
        else:
            lines.extend(f"- {text}" for text in wanted[start:end])
            lines.extend(f"+ {text}" for text in found[found_start:found_end])
    return tuple(lines)


def instant_text(instant: int) -> str:
    """An instant as ISO 8601 in UTC, with milliseconds where it has some."""
    seconds, milliseconds = divmod(instant, 1000)
    fraction = f".{milliseconds:03d}" if milliseconds else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _wanted(expected: Sequence[ExpectedChange], actual: Sequence[Change]) -> list[str]:
    """The expected changes as text; each takes what it leaves open from the first that fits it."""
    left = list(actual)
    texts = []
    for change in expected:
        fitting = next((found for found in left if _fits(change, found)), None)
        if fitting is None:
            texts.append(_asked_text(change))
        else:
            left.remove(fitting)
            texts.append(_change_text(fitting))
    return texts


def _fits(expected: ExpectedChange, found: Change) -> bool:
    return (
        expected.action == found.action
        and expected.audience_id == found.audience_id
        and expected.mpid == found.mpid
        and expected.at in (None, found.effective_at)
        and expected.variant in (None, found.variant)
        and expected.cause in (None, found.cause.kind)
    )


def _change_text(change: Change) -> str:
    asked = ExpectedChange(
        change.action,
        change.audience_id,
        change.mpid,
        change.effective_at,
        change.variant,
        change.cause.kind,
    )
    return _asked_text(asked)


def _asked_text(change: ExpectedChange) -> str:
    at = "at any time" if change.at is None else instant_text(change.at)
    variant = "" if change.variant is None else f" #{change.variant}"
    cause = "" if change.cause is None else f" ({change.cause})"
    return f"{at} {change.action} {change.mpid} {change.audience_id}{variant}{cause}"
