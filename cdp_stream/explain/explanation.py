"""The explanation of one profile in one audience at one instant."""

from __future__ import annotations

from dataclasses import dataclass

from cdp_stream.explain.evidence import Reason, evidence_of
from cdp_stream.explain.hint import asked_words, hint_of
from cdp_stream.explain.history import History
from cdp_stream.explain.outlook import outlook_of
from cdp_stream.explain.tree import Node, tree_of, verdicts


@dataclass(frozen=True, slots=True)
class Explained:
    """A node, its verdict, and what is behind it.

    Attributes:
        asked: what its criterion requires, in words.
        values: the values behind the verdict.
        events: the newest of the events behind it, oldest first.
        total: how many events there are in all.
        hint: what would flip it, in words; None where there is nothing to add.
        next_change_at: when it flips by itself, epoch ms; None for never.
    """

    node: Node
    value: bool
    asked: str | None
    values: tuple[Reason, ...]
    events: tuple[Reason, ...]
    total: int
    hint: str | None
    next_change_at: int | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a profile is, or is not, a member.

    Attributes:
        at: the instant, epoch ms.
        is_known: whether the profile has any history that is not forgotten.
        nodes: the tree, each node after its parent.
        looked_until: where later changes were too many to look at all, the instant up to which they
            were, epoch ms.
    """

    audience_id: str
    mpid: int
    at: int
    is_known: bool
    member: bool
    nodes: tuple[Explained, ...]
    looked_until: int | None


def explain(history: History) -> Explanation:
    """Explain the result of a history that was read to its end."""
    row = history.finish()
    part, at = history.part, history.at
    tree = tree_of(part, row, at)
    values = verdicts(tree, row, at)
    outlook = outlook_of(part, tree, row, at)
    nodes = []
    for node, value, change in zip(tree, values, outlook.next_changes, strict=True):
        evidence = evidence_of(history, node, row)
        nodes.append(
            Explained(
                node,
                value,
                asked_words(node),
                evidence.values,
                evidence.events,
                0 if evidence.counted is None else evidence.counted.total,
                hint_of(node, value, evidence, at),
                change,
            )
        )
    return Explanation(
        part.audience_id,
        history.mpid,
        at,
        bool(row.spaces),
        part.audience_id in row.members,
        tuple(nodes),
        outlook.looked_until,
    )
