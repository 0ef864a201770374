"""What event criteria have in common: conditions, windows, durations, and whether they see events.

Source: docs/definitions.md, criteria.
"""

from __future__ import annotations

from typing import NamedTuple

from cdp_stream.core.model.criterion import Condition
from cdp_stream.core.model.subject import Subject
from cdp_stream.core.model.windows import Window
from cdp_stream.definitions.criteria.conditions import read_where
from cdp_stream.definitions.criteria.criterion_keys import WHEN, WHERE
from cdp_stream.definitions.criteria.scope import Place
from cdp_stream.definitions.criteria.windows import DEFAULT_WINDOW, read_duration, read_when
from cdp_stream.definitions.criteria.written import Written
from cdp_stream.definitions.source.nodes import Mapping, Mark, shown
from cdp_stream.definitions.source.problems import Problems


class Named(NamedTuple):
    """A subject where it is written.

    Attributes:
        text: its short form.
        path: the whole path of its key.
    """

    subject: Subject
    text: str
    mark: Mark
    path: str


def read_conditions(criterion: Written, products_only: bool = False) -> tuple[Condition, ...]:
    """The conditions of `where`, none where there is none."""
    where = criterion.node.get(WHERE)
    if where is None:
        return ()
    return read_where(where, criterion.at(WHERE), criterion.problems, products_only)


def read_window(criterion: Written, places: tuple[Place, ...] | None) -> Window | None:
    """The window of `when`, not cut yet; None when it is wrong, or leaves nothing in any place."""
    when = criterion.node.get(WHEN)
    if when is None:
        return DEFAULT_WINDOW
    lookbacks_ms = tuple(place.lookback_ms for place in places or ())
    return read_when(when, criterion.at(WHEN), lookbacks_ms, criterion.problems)


def read_required_duration(node: Mapping, key: str, path: str, problems: Problems) -> int | None:
    """The milliseconds under a key that has no default, `path` being that of its mapping."""
    value = node.get(key)
    if value is None:
        problems.missing_key(node, path, key, f"add a duration, as `{key}: 2h`")
        return None
    return read_duration(value, f"{path}.{key}", problems)


def are_read(criterion: Written, places: tuple[Place, ...], subjects: list[Named]) -> bool:
    """Whether events of each subject may be read in some place; noted where they may not."""
    if not criterion.scope.certain:
        return True
    unread = [name for name in subjects if not any(place.reads(name.subject) for place in places)]
    for name in unread:
        message = f"`{shown(name.text)}` is `personalize` in no input that this criterion reads"
        advice = "it would never count; change its tier, or the inputs"
        criterion.problems.error("unread-event", name.mark, name.path, message, advice)
    return not unread
