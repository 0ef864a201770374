"""Warnings that a definition accepts, with a reason: `accept: [{warning: contains, reason: ...}]`.

An acceptance holds for the definition that it is in and for all that is written below it: that of a
journey for its milestones, that of a file for the whole file. It accepts a warning that is reported
there, or that names an audience from there.

Source: docs/definitions.md, accepted warnings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from cdp_stream.definitions.account.records import ACCEPT
from cdp_stream.definitions.source.nodes import Mapping, Sequence
from cdp_stream.definitions.source.problems import Problem
from cdp_stream.lint.source import Place, definitions_of, places_of


@dataclass(frozen=True, slots=True)
class _Acceptance:
    """One entry of an `accept`.

    Attributes:
        path: that of the definition it is in.
    """

    file: str
    path: str
    code: str
    reason: str
    place: Place

    def covers(self, file: str, path: str) -> bool:
        """Whether something is written in the definition, or below it."""
        inside = not self.path or path == self.path or path.startswith(f"{self.path}.")
        return inside and file == self.file


def with_acceptances(
    warnings: Iterable[Problem], documents: Iterable[Mapping], *, is_whole: bool
) -> list[Problem]:
    """The warnings, each that is accepted with the reason.

    Args:
        is_whole: whether these are all warnings; then an acceptance without one is a warning too.
    """
    documents = list(documents)
    acceptances = list(_acceptances(documents))
    if not acceptances:
        return list(warnings)
    audiences, _ = places_of(documents)
    found: list[Problem] = []
    used: set[int] = set()
    for warning in warnings:
        about = [(warning.file, warning.path)]
        about += [
            (audiences[name].mark.file, audiences[name].path)
            for name in warning.related
            if name in audiences
        ]
        accepting = [
            number
            for number, one in enumerate(acceptances)
            if one.code == warning.code and any(one.covers(*where) for where in about)
        ]
        used.update(accepting)
        reason = acceptances[accepting[-1]].reason if accepting else None
        found.append(replace(warning, accepted=reason))
    if is_whole:
        found += [_needless(one) for number, one in enumerate(acceptances) if number not in used]
    return found


def _acceptances(documents: Iterable[Mapping]) -> Iterator[_Acceptance]:
    """All of them, those of a file before those of what is in it."""
    for definition in definitions_of(documents):
        accept = definition.key(ACCEPT)
        if accept is definition or not isinstance(accept.node, Sequence):
            continue
        for index, item in enumerate(accept.node.items):
            if not isinstance(item, Mapping):
                continue
            place = Place(item, item.mark, f"{accept.path}[{index}]")
            code, reason = item.text("warning"), item.text("reason")
            if code is not None and reason is not None:
                yield _Acceptance(item.mark.file, definition.path, code, reason, place)


def _needless(acceptance: _Acceptance) -> Problem:
    return acceptance.place.warning(
        "needless-acceptance",
        f"there is no warning `{acceptance.code}` to accept here",
        "remove the entry",
        [],
    )
