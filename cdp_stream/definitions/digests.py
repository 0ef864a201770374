"""Short digests of what a definition means: of who is a member, and of all of it.

A digest is the same for every way of writing the same criteria (formatting, order of keys, spelling
of windows and counts, names of the definition), and differs when anything differs that decides who
is a member, in the definition itself or in what it refers to. An A/B test decides nothing of that,
so it is in the digest of its own definition alone.
"""

from __future__ import annotations

from cdp_stream.core.criterion import Expression
from cdp_stream.core.definition import AbTest
from cdp_stream.core.meaning import digest_of, expression_digest, meaning_text

DIGEST_LENGTH = 12


def membership_digest(
    workspaces: tuple[str, ...],
    expression: Expression | None,
    needs: dict[str, str],
    follows: list[str],
) -> str:
    """The digest of who is a member of an audience or milestone: 12 hexadecimal digits.

    Args:
        workspaces: the ids of its workspaces.
        expression: None for a remaining-users split.
        needs: digests of all audiences and milestones that the criteria name, by id.
        follows: digests of those on which its place in a journey depends.
    """
    own = None if expression is None else expression_digest(expression, needs)
    return digest_of(["definition", sorted(workspaces), own, follows])[:DIGEST_LENGTH]


def definition_digest(membership: str, ab_test: AbTest | None) -> str:
    """The digest of a whole definition, put in every change that it makes."""
    if ab_test is None:
        return membership
    return digest_of(["split", membership, meaning_text(ab_test)])[:DIGEST_LENGTH]
