"""Windows that are not what they seem: longer than the lookback, or about to leave it.

Source: docs/problems.md, warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Final

from cdp_stream.core.model.criterion import (
    CalculatedAttribute,
    Criterion,
    EventCriterion,
    Reach,
    SequenceCriterion,
)
from cdp_stream.core.model.definition import Account, Audience
from cdp_stream.core.model.windows import DAY_MS, Window
from cdp_stream.definitions.criteria.windows import length_text, read_when
from cdp_stream.definitions.source.durations import duration_ms
from cdp_stream.definitions.source.nodes import Scalar
from cdp_stream.definitions.source.problems import Problem, Problems
from cdp_stream.lint.source import Place, written_leaves

_LAST_INSTANT: Final = 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class WrittenWindow:
    """A `when` as it was written, and the parts that the lookbacks leave.

    Attributes:
        reaches: for each workspace that is read, with what its lookback left.
    """

    audience: Audience
    criterion: Criterion
    place: Place
    window: Window
    reaches: tuple[Reach, ...]


def written_windows(account: Account, places: dict[str, Place]) -> Iterator[WrittenWindow]:
    """Every window of an event criterion or a sequence that a user wrote."""
    for audience in account.audiences:
        for leaf in written_leaves(audience.expression):
            if not isinstance(leaf, EventCriterion | SequenceCriterion):
                continue
            when = places[audience.id].at(leaf.path).key("when")
            window = read_when(when.node, when.path, (None,), Problems())
            if when.path.endswith(".when") and window is not None:
                yield WrittenWindow(audience, leaf, when, window, leaf.reaches)


def beyond_lookback(written: WrittenWindow) -> Iterator[Problem]:
    """Warnings about a window of which the lookback leaves only a part: one, or one for each
    workspace where it does so when that is not the same in all.
    """
    length = _length(written.window)
    cut = {
        reach.workspace: reach.window.oldest
        for reach in written.reaches
        if reach.window.oldest is not None and (length is None or length > reach.window.oldest)
    }
    same_everywhere = len(cut) == len(written.reaches) and len(set(cut.values())) == 1
    for workspace, lookback in list(cut.items())[: 1 if same_everywhere else None]:
        where, there = "", ""
        if not same_everywhere:
            where, there = f" of `{workspace}`", " there"
        yield written.place.warning(
            "beyond-lookback",
            f"the window {_spoken_reach(written.window)}, but the lookback{where} is"
            f" {length_text(lookback)}: what is really evaluated{there} is"
            f" {_spoken_rest(written.window, lookback)}",
            "shorten the window, or lengthen the lookback",
            [written.audience.id],
        )


def _spoken_reach(window: Window) -> str:
    length = _length(window)
    if window.oldest is not None:
        return f"reaches back {length_text(window.oldest)}"
    return "has no limit" if length is None else f"is {length_text(length)} long"


def _spoken_rest(window: Window, lookback: int) -> str:
    """What a lookback leaves of the window."""
    newest = window.newest or 0
    rest = f"the last {length_text(lookback)}"
    if newest:
        rest = f"from {length_text(lookback)} to {length_text(newest)} ago"
    return f"those of its days in {rest}" if window.start is not None else rest


def sequence_beyond_lookback(
    audience: Audience, sequence: SequenceCriterion, place: Place, lookbacks: list[int | None]
) -> Problem | None:
    """The same of the `within` of a sequence; `lookbacks` are those of the workspaces it reads."""
    limits = [lookback for lookback in lookbacks if lookback is not None]
    if len(limits) < len(lookbacks) or sequence.within_ms <= max(limits):
        return None
    reach, lookback = length_text(sequence.within_ms), length_text(max(limits))
    return place.key("within").warning(
        "beyond-lookback",
        f"the sequence may last {reach}, but the lookback is {lookback}, so in {lookback} it must"
        " be over",
        "shorten the duration, or lengthen the lookback",
        [audience.id],
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
        f"the window reaches back {length_text(written)}, but the lookback is"
        f" {length_text(lookback)}, so that is what is really evaluated",
        "shorten the window, or lengthen the lookback of the workspace",
        [],
    )


def faded_at(written: WrittenWindow) -> int | None:
    """The instant, epoch ms, from which its days lie before every lookback; None for none."""
    end = written.window.end
    lookbacks = [reach.window.oldest for reach in written.reaches]
    limits = [lookback for lookback in lookbacks if lookback is not None]
    if end is None or not limits or len(limits) < len(lookbacks):
        return None
    since = end + max(limits)
    return None if since > _LAST_INSTANT else since


def fading_windows(
    windows: Iterable[WrittenWindow],
    is_empty_without: Callable[[Audience, list[Criterion]], bool],
) -> Iterator[Problem]:
    """Warnings about the days of an audience's windows that will lie before the lookback.

    Args:
        is_empty_without: whether the audience surely has no members once no event counts for these
            criteria.
    """
    fading = [(since, one) for one in windows if (since := faded_at(one)) is not None]
    fading.sort(key=itemgetter(0))
    empty_from = None
    for number, (since, one) in enumerate(fading, start=1):
        without = [faded.criterion for _, faded in fading[:number]]
        if empty_from is None and is_empty_without(one.audience, without):
            empty_from = since
    for since, one in fading:
        yield _fading(one, since, empty_from)


def _fading(written: WrittenWindow, since: int, empty_from: int | None) -> Problem:
    name = written.audience.id
    follows = "no event counts for this"
    if empty_from == since:
        follows = f"the audience `{name}` is empty"
    elif empty_from is not None:
        follows += f", and from {_spoken_instant(empty_from)} on the audience `{name}` is empty"
    lookback = max(reach.window.oldest or 0 for reach in written.reaches)
    return written.place.warning(
        "fading-window",
        f"these days leave the lookback of {length_text(lookback)}:"
        f" from {_spoken_instant(since)} on {follows}",
        "use a window that moves with time, as `{last: 30d}`, or a longer lookback",
        [name],
    )


def _spoken_instant(instant: int) -> str:
    """A date where it is a midnight, else with its time, UTC."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)
    if instant % DAY_MS == 0:
        return moment.date().isoformat()
    precision = "milliseconds" if instant % 1000 else "seconds"
    return f"{moment.replace(tzinfo=None).isoformat(timespec=precision)}Z"
