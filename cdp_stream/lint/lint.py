"""The warnings about definitions that mean something, but perhaps not what was meant.

Source: docs/problems.md, warnings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby

from cdp_stream.core.model.criterion import SequenceCriterion
from cdp_stream.core.model.definition import Account
from cdp_stream.definitions import Loaded, Problem
from cdp_stream.definitions.account.schema import span_ms
from cdp_stream.definitions.source.nodes import Scalar, shown
from cdp_stream.lint.acceptances import with_acceptances
from cdp_stream.lint.memberships import Memberships
from cdp_stream.lint.sound_part import sound_part
from cdp_stream.lint.source import Place, parents_of, places_of, written_leaves
from cdp_stream.lint.state import unbounded_state
from cdp_stream.lint.written_windows import (
    beyond_lookback,
    calculated_beyond_lookback,
    fading_windows,
    sequence_beyond_lookback,
    written_windows,
)


def warnings_of(loaded: Loaded) -> list[Problem]:
    """Every warning about definitions, accepted ones too, by file, line and column; where some have
    errors, those about the rest that no correction changes.
    """
    account = sound_part(loaded)
    if account is None:
        return []
    linter = _Linter(account, loaded)
    found = with_acceptances(
        dict.fromkeys(linter.warnings()), loaded.documents, is_whole=loaded.account is not None
    )
    return sorted(found, key=lambda problem: (problem.file, problem.line, problem.column))


class _Linter:
    """The warnings of one account."""

    def __init__(self, account: Account, loaded: Loaded) -> None:
        self._account = account
        self._audiences = {audience.id: audience for audience in account.audiences}
        places, self._calculated = places_of(loaded.documents)
        self._places = {name: place for name, place in places.items() if name in self._audiences}
        self._is_whole = loaded.account is not None
        self._parents = parents_of(self._places)

    def warnings(self) -> Iterator[Problem]:
        """All of them, in no particular order."""
        memberships = Memberships(self._account)
        try:
            yield from self._about_memberships(memberships)
            yield from self._about_windows(memberships)
        finally:
            memberships.close()
        yield from self._about_state()
        if self._is_whole:
            yield from self._unconnected()

    # memberships

    def _about_memberships(self, memberships: Memberships) -> Iterator[Problem]:
        for audience_id in memberships.contradictory:
            yield self._never_true(audience_id, memberships)
        unreachable = set(memberships.unreachable)
        for audience_id in memberships.unreachable:
            if not any(other in unreachable for other in self._above(audience_id)):
                yield self._unreachable(audience_id, memberships)
        for audience_id in memberships.always:
            spaces = " or ".join(f"`{name}`" for name in self._audiences[audience_id].workspaces)
            yield self._criteria(audience_id).warning(
                "always-true",
                f"every profile with activity in {spaces} is a member of `{audience_id}`",
                "narrow its criteria if that is not meant",
                [audience_id],
            )
        for first, other in memberships.equal:
            yield (
                self._places[other]
                .key("id")
                .warning(
                    "equal",
                    f"`{other}` always has the same members as `{first}`",
                    f"use one of them, or refer to it: `audience: {first}`",
                    [first, other],
                )
            )
        same: dict[str, set[str]] = defaultdict(set)
        for first, other in memberships.equal:
            same[first].add(other)
        for containing, contained in memberships.within:
            # A milestone lies within those above it by design.
            if not {containing, *same[containing]}.intersection(self._above(contained)):
                yield (
                    self._places[containing]
                    .key("id")
                    .warning(
                        "contains",
                        f"`{containing}` contains `{contained}`: at every instant the members of"
                        " the second are members of the first",
                        "nothing needs to be done if that is meant",
                        [containing, contained],
                    )
                )

    def _never_true(self, audience_id: str, memberships: Memberships) -> Problem:
        paths = memberships.contradiction_of(audience_id)
        message = f"no profile can ever be a member of `{audience_id}`"
        if len(paths) > 1:
            named = " and ".join(f"`{path}`" for path in paths)
            message = f"{message}: {named} contradict each other"
        return self._criteria(audience_id).warning(
            "never-true", message, "change or remove one of its criteria", [audience_id]
        )

    def _unreachable(self, audience_id: str, memberships: Memberships) -> Problem:
        reason = "its parents and the splits before it leave no profile"
        if audience_id in memberships.contradictory:
            reason = "its criteria contradict each other"
        return (
            self._places[audience_id]
            .key("id")
            .warning(
                "unreachable-milestone",
                f"no profile can reach `{audience_id}`: {reason}",
                "remove it, or change its criteria, its parents' or those of the splits before it",
                [audience_id],
            )
        )

    def _above(self, audience_id: str) -> Iterator[str]:
        """The milestones above a milestone in its journey, the nearest first."""
        parent = self._parents.get(audience_id)
        while parent is not None:
            yield parent
            parent = self._parents.get(parent)

    def _criteria(self, audience_id: str) -> Place:
        return self._places[audience_id].key("criteria", "id")

    # criteria by themselves

    def _about_windows(self, memberships: Memberships) -> Iterator[Problem]:
        windows = written_windows(self._account, self._places)
        for _, own in groupby(windows, key=lambda written: written.audience.id):
            together = list(own)
            for written in together:
                yield from beyond_lookback(written)
            yield from fading_windows(together, memberships.is_empty_without)
        yield from self._about_sequences()
        for attribute in self._account.calculated_attributes:
            place = self._calculated[attribute.id]
            yield from filter(None, [calculated_beyond_lookback(attribute, place)])

    def _about_sequences(self) -> Iterator[Problem]:
        lookbacks = {one.id: one.lookback_ms for one in self._account.workspaces}
        for audience in self._account.audiences:
            place = self._places[audience.id]
            own = place.key("lookback").node
            span = span_ms(own.raw) if isinstance(own, Scalar) else None
            for leaf in written_leaves(audience.expression):
                if isinstance(leaf, SequenceCriterion):
                    read = [span or lookbacks[reach.workspace] for reach in leaf.reaches]
                    found = sequence_beyond_lookback(audience, leaf, place.at(leaf.path), read)
                    yield from filter(None, [found])

    def _about_state(self) -> Iterator[Problem]:
        for audience in self._account.audiences:
            for leaf in written_leaves(audience.expression):
                kept = unbounded_state(leaf)
                if kept is not None:
                    yield (
                        self._places[audience.id]
                        .at(leaf.path)
                        .warning(
                            "unbounded-state",
                            f"`{shown(leaf.text)}` keeps {kept}, so a profile's state grows"
                            " with its traffic",
                            "a shorter window or a narrower `where` keeps it small",
                            [audience.id],
                        )
                    )

    def _unconnected(self) -> Iterator[Problem]:
        connected = {connection.audience for connection in self._account.connections}
        for audience in self._account.audiences:
            if audience.emits and "/" not in audience.id and audience.id not in connected:
                yield (
                    self._places[audience.id]
                    .key("id")
                    .warning(
                        "unconnected",
                        f"no connection names `{audience.id}`: its members reach no output",
                        "add a connection, or make it a draft",
                        [audience.id],
                    )
                )
