"""Compiles the documents of all files to the account that plans are built of.

Every part is read, whatever is wrong with the others; there is an account only when nothing is
wrong.

A digest is the same for every way to write the same criteria (formatting, order of keys, spelling
of windows and counts, names of the definition), and differs when anything differs that decides who
is a member, in the definition itself or in what it refers to. An A/B test decides nothing of that,
so it is in the digest of its own definition alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from cdp_stream.core.model.connection import Connection
from cdp_stream.core.model.criterion import Expression
from cdp_stream.core.model.definition import AbTest, Account, Audience, Milestone
from cdp_stream.core.model.journey import audiences_of
from cdp_stream.core.model.meaning import digest_of, expression_digest, meaning_text
from cdp_stream.definitions.account.ids import Ids
from cdp_stream.definitions.account.records import Read, read_record
from cdp_stream.definitions.account.schema import DocumentRecord
from cdp_stream.definitions.account.workspaces import WorkspaceReader, Workspaces
from cdp_stream.definitions.criteria.scope import CalculatedAttributes, Surroundings
from cdp_stream.definitions.records.audiences import AudienceRead, read_audience
from cdp_stream.definitions.records.calculated_attributes import CalculatedAttributeReader
from cdp_stream.definitions.records.connections import ConnectionReader, Target, Targets
from cdp_stream.definitions.records.journeys import (
    JourneyRead,
    MilestoneRead,
    milestones_of,
    read_journey,
)
from cdp_stream.definitions.records.outputs import OutputReader, Outputs
from cdp_stream.definitions.records.references import (
    Definition,
    check_cycles,
    check_references,
    in_order,
)
from cdp_stream.definitions.source.nodes import Mapping, Mark, Node
from cdp_stream.definitions.source.problems import Problems

_DIGEST_LENGTH = 12


@dataclass(slots=True)
class _Found:
    """What was read of all files, in their order."""

    order: list[AudienceRead | JourneyRead] = field(default_factory=list)
    definitions: dict[str, Definition] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    journeys: set[str] = field(default_factory=set)

    def add(self, definition: Definition) -> None:
        self.known.add(definition.id)
        self.definitions.setdefault(definition.id, definition)


def compile_account(documents: list[Mapping], problems: Problems) -> Account | None:
    """The account that the documents define together; None when there is any problem."""
    reads = [read_record(DocumentRecord, document, "", problems) for document in documents]
    files = [read for read in reads if read is not None]
    account_id = _account_id(files, problems)
    workspaces = _workspaces(files, problems)
    calculated = _calculated_attributes(files, workspaces, problems)
    around = Surroundings(workspaces, calculated, problems)
    found = _audiences_and_journeys(files, around)
    check_references(found.definitions, found.journeys, found.known, problems)
    check_cycles(found.definitions, problems)
    outputs = _outputs(files, problems)
    connections = _connections(files, outputs, found, calculated, problems)
    if problems.found or account_id is None:
        return None
    return Account(
        account_id,
        tuple(workspaces.by_id.values()),
        tuple(_activated(_assembled(found), found, connections)),
        tuple(attribute for attribute in calculated.by_id.values() if attribute is not None),
        tuple(read.output for read in outputs.by_id.values()),
        connections,
    )


def _account_id(files: list[Read[DocumentRecord]], problems: Problems) -> str | None:
    """The account's id: one of the files gives it, and all that do agree."""
    account_id = None
    given_at: Mark | None = None
    for read in files:
        own = read.record.account
        if own is None:
            continue
        if account_id is None or given_at is None:
            account_id, given_at = own, read.mark("account")
        elif own != account_id:
            message = f"the account is `{account_id}` at {given_at.file}:{given_at.line}"
            advice = "definitions that are read together belong to one account"
            problems.error("conflicting-account", read.mark("account"), "account", message, advice)
    wrong = any("account" in read.wrong for read in files)
    if account_id is None and files and not wrong:
        at = files[0].node.mark
        problems.error(
            "missing-key", at, "account", "the key `account` is missing", "add `account:`"
        )
    return account_id


def _read_each(
    files: list[Read[DocumentRecord]], key: str, read_one: Callable[[Node, str], None]
) -> bool:
    """Read every node of the lists under a key; whether all of them are lists."""
    for read in files:
        for node, path in read.items(key):
            read_one(node, path)
    return not any(key in read.wrong for read in files)


def _workspaces(files: list[Read[DocumentRecord]], problems: Problems) -> Workspaces:
    reader = WorkspaceReader(problems)
    if not _read_each(files, "workspaces", reader.read):
        reader.workspaces.complete = False
    if files and not any(read.items("workspaces") for read in files) and reader.workspaces.complete:
        message = "no workspace is defined"
        advice = "add `workspaces:` with one, and its inputs"
        problems.error("missing-key", files[0].mark("workspaces"), "workspaces", message, advice)
        reader.workspaces.complete = False
    return reader.workspaces


def _calculated_attributes(
    files: list[Read[DocumentRecord]], workspaces: Workspaces, problems: Problems
) -> CalculatedAttributes:
    reader = CalculatedAttributeReader(workspaces, problems)
    if not _read_each(files, "calculated_attributes", reader.read):
        reader.attributes.complete = False
    return reader.attributes


def _audiences_and_journeys(files: list[Read[DocumentRecord]], around: Surroundings) -> _Found:
    found = _Found()
    ids = Ids("the audience or journey", around.problems)
    for read in files:
        for node, path in read.items("audiences"):
            _know_as_written(node, found.known)
            audience = read_audience(node, path, around)
            if audience is None or not audience.has_id:
                continue
            definition = audience.definition
            if ids.claim(definition.id, definition.mark, definition.path):
                found.add(definition)
                found.order.append(audience)
        for node, path in read.items("journeys"):
            journey_read = read_journey(node, path, around)
            if journey_read is None:
                continue
            journey, record = journey_read
            found.journeys.add(journey.id)
            for milestone in milestones_of(journey.milestones):
                found.add(milestone.definition)
            if "id" not in record.wrong and ids.claim(journey.id, record.mark("id"), f"{path}.id"):
                found.order.append(journey)
    return found


def _outputs(files: list[Read[DocumentRecord]], problems: Problems) -> Outputs:
    reader = OutputReader(problems)
    if not _read_each(files, "outputs", reader.read):
        reader.outputs.complete = False
    return reader.outputs


def _connections(
    files: list[Read[DocumentRecord]],
    outputs: Outputs,
    found: _Found,
    calculated: CalculatedAttributes,
    problems: Problems,
) -> tuple[Connection, ...]:
    targets = {target.id: target for target in _targets(found)}
    known = Targets(targets, found.known, found.journeys)
    reader = ConnectionReader(outputs, known, calculated, problems)
    _read_each(files, "connections", reader.read)
    return reader.connections


def _targets(found: _Found) -> Iterator[Target]:
    """What connections may name, in the order of emission."""
    for item in found.order:
        parts = (item,) if isinstance(item, AudienceRead) else milestones_of(item.milestones)
        for part in parts:
            # A test with a problem in it was read as none.
            certain = part.ab_test is not None or not part.has_ab_test
            yield Target(
                part.definition.id,
                frozenset(part.tags),
                item.workspaces,
                part.ab_test,
                certain,
            )


def _know_as_written(node: Node, known: set[str]) -> None:
    """An id that is wrong is reported once; references to it are no problems of their own."""
    name = node.text("id") if isinstance(node, Mapping) else None
    if name is not None:
        known.add(name)


def _assembled(found: _Found) -> list[Audience]:
    """Audiences and milestones in the order of emission, each with its digest."""
    members = _membership_digests(found)
    audiences: list[Audience] = []
    for item in found.order:
        if isinstance(item, JourneyRead):
            milestones = tuple(_milestone(milestone, members) for milestone in item.milestones)
            audiences.extend(audiences_of(item.id, item.workspaces, milestones))
        elif item.expression is not None:
            name = item.definition.id
            audiences.append(
                Audience(
                    name,
                    item.name,
                    item.workspaces,
                    item.expression,
                    item.emits,
                    _definition_digest(members[name], item.ab_test),
                    item.ab_test,
                )
            )
    return audiences


def _activated(
    audiences: list[Audience], found: _Found, connections: tuple[Connection, ...]
) -> Iterator[Audience]:
    """The audiences, milestones that no active connection needs marked as such.

    Source: docs/semantics.md, journeys.
    """
    waiting = {
        f"{item.id}/"
        for item in found.order
        if isinstance(item, JourneyRead) and item.by_connection
    }
    parents = {
        child.definition.id: milestone.definition.id
        for item in found.order
        if isinstance(item, JourneyRead)
        for milestone in milestones_of(item.milestones)
        for child in milestone.then
    }
    needed: set[str] = set()
    for connection in connections:
        name: str | None = connection.audience if connection.active else None
        while name is not None and name not in needed:
            needed.add(name)
            name = parents.get(name)
    for audience in audiences:
        journey, slash, _ = audience.id.partition("/")
        if slash and f"{journey}/" in waiting and audience.id not in needed:
            yield replace(audience, emits=False, computed=False)
        else:
            yield audience


def _membership_digests(found: _Found) -> dict[str, str]:
    """The digest of who is a member, of every audience and milestone by id."""
    workspaces_of = {}
    for item in found.order:
        if isinstance(item, AudienceRead):
            workspaces_of[item.definition.id] = item.workspaces
        else:
            for milestone in milestones_of(item.milestones):
                workspaces_of[milestone.definition.id] = item.workspaces
    digests: dict[str, str] = {}
    for name in in_order(found.definitions):
        definition = found.definitions[name]
        follows = [digests[other] for other in definition.follows]
        digests[name] = _membership_digest(
            workspaces_of[name], definition.expression, digests, follows
        )
    return digests


def _milestone(read: MilestoneRead, members: dict[str, str]) -> Milestone:
    then = tuple(_milestone(child, members) for child in read.then)
    digest = _definition_digest(members[read.definition.id], read.ab_test)
    return Milestone(read.id, read.name, read.expression, digest, then, read.ab_test)


def _membership_digest(
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
    return digest_of(["definition", sorted(workspaces), own, follows])[:_DIGEST_LENGTH]


def _definition_digest(membership: str, ab_test: AbTest | None) -> str:
    """The digest of a whole definition, put in every change that it makes."""
    if ab_test is None:
        return membership
    return digest_of(["split", membership, meaning_text(ab_test)])[:_DIGEST_LENGTH]
