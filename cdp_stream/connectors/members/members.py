"""The net effect of a batch of changes on a partner's list: each identity in, or out, once.

Bulk calls of partners have no order, so of several changes of one identity the last alone is sent:
the list ends as if all had been sent one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cdp_stream.connectors.change import ADD, DELETE, OutputChange
from cdp_stream.connectors.exchange import Outcome

__all__ = ["Form", "Member", "fitting", "last_of_each", "last_of_each_form", "outcome", "split"]

Form = Callable[[str], str]
"""An identity as the partner compares it; empty when it can be none of its kind."""


class Member(NamedTuple):
    """One identity that is to be in, or out of, a list.

    Attributes:
        place: of its change, in the batch.
        joins: whether a change of the batch adds it, or only an update shows that it is in.
    """

    place: int
    change: OutputChange[Any]
    identity_type: str
    identity: str
    joins: bool = True

    @property
    def is_in(self) -> bool:
        """Whether it is to be in."""
        return self.change.action != DELETE


def last_of_each(
    changes: Sequence[OutputChange[Any]], types: Collection[str] | None = None
) -> list[Member]:
    """The last change of every (connection, identity), in the order of those changes.

    Args:
        types: only identities of these types; None is all.
    """
    last: dict[tuple[str, str, str], Member] = {}
    for index, change in enumerate(changes):
        for identity_type, identity in change.identities:
            if types is None or identity_type in types:
                key = change.connection, identity_type, identity
                last.pop(key, None)
                last[key] = Member(index, change, identity_type, identity)
    return list(last.values())


def last_of_each_form(
    changes: Sequence[OutputChange[Any]], forms: Mapping[str, Form]
) -> tuple[list[Member], dict[int, str]]:
    """As `last_of_each`, of identities in the partner's form: two that look the same there are one.

    Args:
        forms: by identity type; identities of other types are left out.

    Returns:
        The members, with `identity` in its form; and why changes are refused that have identities
        of these types, none of which can be used.
    """
    last: dict[tuple[str, str], Member] = {}
    refused: dict[int, str] = {}
    for index, change in enumerate(changes):
        unusable: list[str] = []
        used = False
        for identity_type, identity in change.identities:
            form = forms.get(identity_type)
            if form is None:
                continue
            formed = form(identity)
            if not formed:
                unusable.append(identity_type)
                continue
            used = True
            key = change.connection, formed
            before = last.pop(key, None)
            joins = change.action == ADD or (before is not None and before.is_in and before.joins)
            last[key] = Member(index, change, identity_type, formed, joins)
        if unusable and not used:
            refused[index] = f"not in the form of its type: {', '.join(unusable)}"
    return list(last.values()), refused


def outcome(refused: Iterable[tuple[Member, str]], unusable: Mapping[int, str]) -> Outcome:
    """Each change of which an identity was refused, with the reasons.

    Args:
        unusable: what `last_of_each_form` returned about changes that were not sent.
    """
    reasons: dict[int, list[str]] = {place: [why] for place, why in unusable.items()}
    for member, why in refused:
        reasons.setdefault(member.place, []).append(f"{member.identity_type}: {why}")
    return Outcome({place: "; ".join(found) for place, found in sorted(reasons.items())})


def fitting(sizes: Sequence[int], rows: int, size: int) -> list[slice]:
    """Cut rows of these sizes, in order, so that no piece has more rows or a greater size.

    A row that alone is too great is a piece of its own.
    """
    pieces: list[slice] = []
    start = total = 0
    for place, one in enumerate(sizes):
        if place > start and (place - start == rows or total + one > size):
            pieces.append(slice(start, place))
            start, total = place, 0
        total += one
    if start < len(sizes):
        pieces.append(slice(start, len(sizes)))
    return pieces


def split(members: Sequence[Member], size: int) -> list[Sequence[Member]]:
    """In pieces of at most `size`."""
    return [members[start : start + size] for start in range(0, len(members), size)]
