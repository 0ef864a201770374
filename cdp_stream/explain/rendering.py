"""An explanation as text for people and as JSON for programs. Trees may be deep: nothing recurses.

Source: docs/commands.md, explain.
"""

from __future__ import annotations

import json
from textwrap import wrap
from typing import Final

from cdp_stream.explain.evidence import Reason
from cdp_stream.explain.explanation import Explained, Explanation
from cdp_stream.explain.words import instant_words, printable

WIDTH: Final = 100
REASONS_SHOWN: Final = 10
"""Values, and events, of a node in text."""
REASONS_IN_JSON: Final = 100
"""The same in JSON."""

_MARK_WIDTH: Final = 5
_DEEPEST_INDENT: Final = 15


def as_text(explanation: Explanation, width: int = WIDTH) -> str:
    """The tree, a mark before each node, and below it what is behind its verdict; on lines of at
    most so many characters.
    """
    lines = _block(_headline(explanation), "", "  ", width)
    for explained in explanation.nodes:
        lines += _node_lines(explained, width)
    return "\n".join(lines)


def as_json(explanation: Explanation) -> str:
    """One JSON object, on one line."""
    head = {
        "audience_id": explanation.audience_id,
        "mpid": str(explanation.mpid),
        "at": explanation.at,
        "member": explanation.member,
    }
    return f'{json.dumps(head)[:-1]}, "tree": {_tree(explanation.nodes)}}}'


def _tree(nodes: tuple[Explained, ...]) -> str:
    """The nested objects, written from the flat list: each opens after its parent, and closes when
    a node comes that is not deeper.
    """
    pieces: list[str] = []
    depth = -1
    for explained in nodes:
        node = explained.node
        if node.depth <= depth:
            pieces.append("]}" * (depth - node.depth + 1) + ", ")
        depth = node.depth
        found = {
            "criterion": node.criterion,
            "path": node.path,
            "value": explained.value,
            "because": [
                {"event_id": reason.event_id, "time": reason.time, "detail": reason.detail}
                for reason in _reasons(explained, REASONS_IN_JSON)
            ],
            "next_change_at": explained.next_change_at,
        }
        pieces.append(f'{json.dumps(found)[:-1]}, "children": [')
    return "".join(pieces) + "]}" * (depth + 1)


def _headline(explanation: Explanation) -> str:
    verdict = "a member" if explanation.member else "not a member"
    change = explanation.nodes[0].next_change_at
    until = "" if change is None else f", until {instant_words(change)}"
    return (
        f"{explanation.audience_id}, profile {explanation.mpid}, at "
        f"{instant_words(explanation.at)}: {verdict}{until}"
    )


def _node_lines(explained: Explained, width: int) -> list[str]:
    node = explained.node
    indent = "  " * min(node.depth, _DEEPEST_INDENT, max(0, width // 4 - _MARK_WIDTH))
    mark = "yes" if explained.value else "no"
    asked = f" ({explained.asked})" if explained.asked else ""
    text = f"{printable(node.criterion)}{asked}"
    lines = _block(text, f"{mark:{_MARK_WIDTH}}{indent}", f"{'':{_MARK_WIDTH}}{indent}    ", width)
    margin = f"{'':{_MARK_WIDTH}}{indent}  - "
    reasons = [_reason_line(reason) for reason in _reasons(explained, REASONS_SHOWN)]
    for line in (*reasons, *_flip_lines(explained)):
        lines += _block(line, margin, f"{' ' * len(margin)}", width)
    return lines


def _reasons(explained: Explained, most: int) -> list[Reason]:
    """So many values and newest events, and how many there are where that is not all."""
    values, events = explained.values[:most], explained.events[-most:]
    found = list(values)
    if len(values) < len(explained.values):
        found.append(Reason(None, None, f"{len(explained.values):,} values in all"))
    if len(events) < explained.total:
        newest = f"the newest {len(events)} of {explained.total:,} events that count:"
        found.append(Reason(None, None, newest))
    return [*found, *events]


def _reason_line(reason: Reason) -> str:
    when = "" if reason.time is None else f"{instant_words(reason.time)} "
    event_id = "" if reason.event_id is None else f"[{printable(reason.event_id)}] "
    return f"{when}{event_id}{reason.detail}"


def _flip_lines(explained: Explained) -> list[str]:
    lines = [] if explained.hint is None else [explained.hint]
    if explained.next_change_at is not None:
        verdict = "no" if explained.value else "yes"
        lines.append(f"becomes {verdict} by itself at {instant_words(explained.next_change_at)}")
    return lines


def _block(text: str, first: str, following: str, width: int) -> list[str]:
    """The text on lines of at most so many characters."""
    return wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=following,
        break_on_hyphens=False,
    )
