"""What a batch of changes comes to for a partner's list: each identity in, or out, once.

Bulk calls of partners say no order, so of several changes of one identity the last alone is sent:
the list ends as if all had been sent one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from cdp_stream.connectors.change import ADD, DELETE, OutputChange
from cdp_stream.connectors.exchange import Outcome

__all__ = ["Form", "Member", "last_of_each", "outcome", "split"]

Form = Callable[[str], str]
"""An identity as the partner compares it (normalised, hashed); empty when nothing is left of it."""


class Member(NamedTuple):
    """One identity that is to be in, or out of, a list.

    Attributes:
        place: of the change that says so, in the batch.
        identity: as the partner compares it.
        joins: whether it was added in this batch; an update alone says that it had been.
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
    changes: Sequence[OutputChange[Any]],
    types: Collection[str] | None = None,
    forms: dict[str, Form] | None = None,
) -> list[Member]:
    """The last word on every (connection, identity), in the order of those words.

    Args:
        types: only identities of these types; None is all.
        forms: type -> how the partner compares identities of it. Identities of which nothing is
            left are left out; no list can hold them.
    """
    last: dict[tuple[str, str, str], Member] = {}
    for index, change in enumerate(changes):
        for identity_type, identity in change.identities:
            if types is not None and identity_type not in types:
                continue
            kept = forms[identity_type](identity) if forms is not None else identity
            if not kept:
                continue
            key = change.connection, identity_type, kept
            before = last.pop(key, None)
            joins = change.action == ADD or (before is not None and before.is_in and before.joins)
            last[key] = Member(index, change, identity_type, kept, joins)
    return list(last.values())


def outcome(refused: Iterable[tuple[Member, str]]) -> Outcome:
    """Each change of which an identity was refused, with the reasons."""
    reasons: dict[int, list[str]] = {}
    for member, reason in refused:
        reasons.setdefault(member.place, []).append(f"{member.identity_type}: {reason}")
    return Outcome({place: "; ".join(found) for place, found in sorted(reasons.items())})


def split(members: Sequence[Member], size: int) -> list[Sequence[Member]]:
    """In pieces of at most `size`."""
    return [members[start : start + size] for start in range(0, len(members), size)]
