"""What a batch of changes comes to for a partner's list: each identity in, or out, once.

Bulk calls of partners say no order, so of several changes of one identity the last alone is sent:
the list ends as if all had been sent one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from cdp_stream.connectors.change import DELETE, OutputChange

__all__ = ["Member", "last_of_each", "split"]


class Member(NamedTuple):
    """One identity that is to be in, or out of, a list.

    Attributes:
        place: of the change that says so, in the batch.
    """

    place: int
    change: OutputChange[Any]
    identity_type: str
    identity: str

    @property
    def is_in(self) -> bool:
        """Whether it is to be in."""
        return self.change.action != DELETE


def last_of_each(
    changes: Sequence[OutputChange[Any]], types: Collection[str] | None = None
) -> list[Member]:
    """The last word on every (connection, identity), in the order of those words.

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


def split(members: Sequence[Member], size: int) -> list[Sequence[Member]]:
    """In pieces of at most `size`."""
    return [members[start : start + size] for start in range(0, len(members), size)]
