"""Windows that are not what they seem: longer than the lookback, or about to leave it.

Source: docs/problems.md, warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cdp_stream.core.definition import (
    Account,
    Audience,
    CalculatedAttribute,
    Criterion,
    EventCriterion,
    SequenceCriterion,
)
from cdp_stream.core.windows import DAY_MS, Window
from cdp_stream.definitions.durations import duration_ms
from cdp_stream.definitions.nodes import Scalar
from cdp_stream.definitions.problems import Problem, Problems
from cdp_stream.definitions.windows import read_when, spoken_length
from cdp_stream.lint.source import Place, written_leaves

_LAST_INSTANT: Final = 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class WrittenWindow:
    """A `when` as it was written, and what the lookback left of it.

    Attributes:
        cut: one for each workspace that is read.
    """

    audience: Audience
    criterion: Criterion
    place: Place
    window: Window
    cut: tuple[Window, ...]


def written_windows(account: Account, places: dict[str, Place]) -> Iterator[WrittenWindow]:
    """Every window of an event criterion or a sequence that a user wrote."""
    for audience in account.audiences:
        for leaf in written_leaves(audience.expression):
            if not isinstance(leaf, EventCriterion | SequenceCriterion):
                continue
            when = places[audience.id].at(leaf.path).key("when")
            window = read_when(when.node, when.path, (None,), Problems())
            if when.path.endswith(".when") and window is not None:
                cut = tuple(reach.window for reach in leaf.reaches)
                yield WrittenWindow(audience, leaf, when, window, cut)


def beyond_lookback(written: WrittenWindow) -> Problem | None:
    """A warning about a window of which the lookback leaves only a part."""
    length = _length(written.window)
    lookbacks = [cut.oldest for cut in written.cut if cut.oldest is not None]
    if not lookbacks or len(lookbacks) < len(written.cut):
        return None
    lookback = max(lookbacks)
    if length is not None and length <= lookback:
        return None
    reach = "has no limit" if length is None else f"is {spoken_length(length)} long"
    if written.window.oldest is not None:
        reach = f"reaches back {spoken_length(written.window.oldest)}"
    evaluated = f"the last {spoken_length(lookback)}"
    newest = written.window.newest or 0
    if newest:
        evaluated = f"from {spoken_length(lookback)} to {spoken_length(newest)} ago"
    if written.window.start is not None:
        evaluated = f"those of its days that lie in {evaluated}"
    return written.place.warning(
        "beyond-lookback",
        f"the window {reach}, but the lookback is {spoken_length(lookback)}:"
        f" what is really evaluated is {evaluated}",
        "shorten the window, or lengthen the lookback",
        [written.audience.id],
    )


def _length(window: Window) -> int | None:
    """How far it reaches back or how long it is, ms; None is without limit.

    Open calendar windows have no length to compare: they are as written for a while at least.
    """
    if window.oldest is not None:
        return window.oldest
    if window.start is not None and window.end is not None:
        return window.end - window.start
    return 0 if window.start is not None or window.end is not None else None


def calculated_beyond_lookback(attribute: CalculatedAttribute, place: Place) -> Problem | None:
    """The same of the `within` of a calculated attribute."""
    within = place.key("within")
    text = within.node.value if isinstance(within.node, Scalar) else None
    written = duration_ms(text) if isinstance(text, str) else None
    lookback = attribute.window.oldest
    if written is None or lookback is None or written <= lookback:
        return None
    return within.warning(
        "beyond-lookback",
        f"the window reaches back {spoken_length(written)}, but the lookback is"
        f" {spoken_length(lookback)}, so that is what is really evaluated",
        "shorten the window, or lengthen the lookback of the workspace",
        [],
    )


def fading_window(
    written: WrittenWindow, needs: Callable[[Audience, Criterion], bool]
) -> Problem | None:
    """A warning about days that will lie before the lookback.

    Args:
        needs: whether who is in the audience surely meets the criterion.
    """
    end = written.window.end
    lookbacks = [cut.oldest for cut in written.cut if cut.oldest is not None]
    if end is None or not lookbacks or len(lookbacks) < len(written.cut):
        return None
    since = end + max(lookbacks)
    if since > _LAST_INSTANT:
        return None
    name = written.audience.id
    follows = (
        f"the audience `{name}` is empty"
        if needs(written.audience, written.criterion)
        else "no event counts for this"
    )
    return written.place.warning(
        "fading-window",
        f"these days leave the lookback of {spoken_length(max(lookbacks))}:"
        f" from {_spoken_instant(since)} on {follows}",
        "use a window that moves with time, as `{last: 30d}`, or a longer lookback",
        [name],
    )


def _spoken_instant(instant: int) -> str:
    """A date where it is a midnight, else with its time, UTC."""
    moment = datetime.fromtimestamp(instant // 1000, UTC)
    return f"{moment:%Y-%m-%d}" if instant % DAY_MS == 0 else f"{moment:%Y-%m-%dT%H:%M:%SZ}"
