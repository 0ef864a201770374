"""Reads connections: which audience, milestone or variant goes to which output.

A bulk entry (`tags`, `audiences`) is one connection per audience. A single entry wins over
the bulk entries that would make the same connection; bulk entries that make the same one must
agree.

Source: docs/definitions.md, connections.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from cdp_stream.core.model.connection import Connection, connection_id
from cdp_stream.core.model.definition import AbTest
from cdp_stream.definitions.account.records import Read, read_record
from cdp_stream.definitions.account.schema import ConnectionRecord
from cdp_stream.definitions.criteria.conditions import folded_key
from cdp_stream.definitions.criteria.scope import CalculatedAttributes, or_list
from cdp_stream.definitions.records.connector_settings import read_settings
from cdp_stream.definitions.records.outputs import OutputRead, Outputs
from cdp_stream.definitions.source.nodes import Mark, Node, shown
from cdp_stream.definitions.source.problems import Problems

AUDIENCE: Final = "audience"
_SELECTORS: Final = (AUDIENCE, "audiences", "tags")


@dataclass(frozen=True, slots=True)
class Target:
    """An audience or milestone, as connections see it.

    Attributes:
        workspaces: their ids.
        ab_test: None where there is none; `certain` False where it may have one with a problem.
    """

    id: str
    tags: frozenset[str]
    workspaces: tuple[str, ...]
    ab_test: AbTest | None
    certain: bool


@dataclass(frozen=True, slots=True)
class Targets:
    """What connections may name.

    Attributes:
        by_id: in the order of emission.
        known: all ids that were given, be what they name right or not.
        journeys: ids of journeys, which are no audiences.
    """

    by_id: dict[str, Target]
    known: set[str]
    journeys: set[str]


@dataclass(frozen=True, slots=True)
class _Made:
    """A connection, and the entry that makes it."""

    connection: Connection
    mark: Mark
    is_bulk: bool


class ConnectionReader:
    """Reads connections over all files."""

    def __init__(
        self,
        outputs: Outputs,
        targets: Targets,
        calculated: CalculatedAttributes,
        problems: Problems,
    ) -> None:
        self._outputs = outputs
        self._targets = targets
        self._calculated = calculated
        self._problems = problems
        self._made: dict[str, _Made] = {}

    @property
    def connections(self) -> tuple[Connection, ...]:
        """In the order of the files; those of a bulk entry in the order of audiences."""
        return tuple(made.connection for made in self._made.values())

    def read(self, node: Node, path: str) -> None:
        """Read one entry; what is wrong with it is noted."""
        read = read_record(ConnectionRecord, node, path, self._problems)
        if read is None:
            return
        output = self._output(read)
        selector = self._selector(read)
        targets = [] if selector is None else list(self._named(read, selector))
        settings = self._settings(read, output)
        shared = self._shared(read, output, targets)
        is_bulk = selector != AUDIENCE
        for target in targets:
            if output is None or not self._has_variant(read, target):
                continue
            record = read.record
            identity = connection_id(target.id, record.variant, output.output.id)
            connection = Connection(
                identity,
                target.id,
                output.output.id,
                record.variant,
                record.status == "active",
                settings,
                shared,
                record.on_audience_delete,
                None if output.connector is None else output.connector.identities,
            )
            self._make(_Made(connection, read.node.mark, is_bulk), read)

    # which audiences

    def _selector(self, read: Read[ConnectionRecord]) -> str | None:
        named = [key for key in _SELECTORS if key in read.node.entries]
        path, problems = read.path, self._problems
        if not named:
            message = "the connection names no audience"
            advice = "add `audience:`, or in bulk `tags:` or `audiences:`"
            problems.error("missing-key", read.node.mark, f"{path}.audience", message, advice)
            return None
        for key in named[1:]:
            message = f"a connection has `{named[0]}` or `{key}`, not both"
            at = f"{path}.{key}"
            problems.error("misplaced-key", read.mark(key), at, message, "keep one of them")
        return None if named[0] in read.wrong else named[0]

    def _named(self, read: Read[ConnectionRecord], selector: str) -> Iterator[Target]:
        record, path = read.record, read.path
        if selector == AUDIENCE:
            node = read.node.entries[AUDIENCE].value
            yield from self._target(str(record.audience), node.mark, f"{path}.audience")
            return
        if selector == "audiences":
            found: dict[str, Target] = {}
            for name, (item, at) in zip(
                record.audiences or [], read.items("audiences"), strict=True
            ):
                for target in self._target(name, item.mark, at):
                    found.setdefault(target.id, target)
            yield from found.values()
            return
        yield from self._tagged(read)

    def _target(self, name: str, mark: Mark, path: str) -> Iterator[Target]:
        target = self._targets.by_id.get(name)
        if target is not None:
            yield target
        elif name not in self._targets.known:
            message = f"there is no audience or milestone `{shown(name)}`"
            if name in self._targets.journeys:
                advice: str | None = (
                    f"a journey is not an audience; name a milestone, as `{name}/...`"
                )
            else:
                near = self._problems.near(name, self._targets.known)
                advice = near or "milestones are named `journey/milestone`"
            self._problems.error("unknown-reference", mark, path, message, advice)

    def _tagged(self, read: Read[ConnectionRecord]) -> Iterator[Target]:
        tags, everything = frozenset(read.record.tags or []), self._targets.by_id.values()
        known = frozenset(tag for target in everything for tag in target.tags)
        problems = self._problems
        for tag, (item, at) in zip(read.record.tags or [], read.items("tags"), strict=True):
            if tag not in known:
                message = f"no audience has the tag `{shown(tag)}`"
                advice = problems.near(tag, known) or "add it to the `tags` of an audience"
                problems.error("unknown-reference", item.mark, at, message, advice)
        found = [target for target in everything if tags <= target.tags]
        if not found and tags <= known:
            message = f"no audience has all of the tags {or_list(sorted(tags))}".replace(
                " or ", " and "
            )
            mark, at = read.mark("tags"), f"{read.path}.tags"
            advice = "an entry for each tag connects those that have one of them"
            problems.error("unknown-reference", mark, at, message, advice)
        yield from found

    def _has_variant(self, read: Read[ConnectionRecord], target: Target) -> bool:
        variant, problems = read.record.variant, self._problems
        if variant is None or not target.certain:
            return True
        names = [] if target.ab_test is None else [one.name for one in target.ab_test.variants]
        if variant in names:
            return True
        mark, at = read.node.entries["variant"].value.mark, f"{read.path}.variant"
        message = f"`{target.id}` has no variant `{shown(variant)}`"
        advice = "it has no A/B test; leave `variant` out"
        if names:
            advice = problems.near_or_list(variant, names)
        problems.error("unknown-reference", mark, at, message, advice)
        return False

    # its parts

    def _output(self, read: Read[ConnectionRecord]) -> OutputRead | None:
        if "output" in read.wrong:
            return None
        name, known = read.record.output, self._outputs.by_id
        if name not in known and self._outputs.complete:
            mark, at = read.node.entries["output"].value.mark, f"{read.path}.output"
            message = f"there is no output `{shown(name)}`"
            advice = "define it under `outputs:`"
            if known:
                advice = self._problems.near_or_list(name, known)
            self._problems.error("unknown-reference", mark, at, message, advice)
        return known.get(name)

    def _settings(self, read: Read[ConnectionRecord], output: OutputRead | None) -> dict[str, Any]:
        if output is None or output.connector is None:
            return {}
        node, at = read.node.get("settings"), f"{read.path}.settings"
        model = output.connector.connection_settings
        return read_settings(node, read.node.mark, at, model, self._problems)

    def _shared(
        self, read: Read[ConnectionRecord], output: OutputRead | None, targets: list[Target]
    ) -> tuple[str, ...]:
        """The shared attributes: ids of calculated attributes, else keys of user attributes."""
        written, problems = read.record.user_attributes, self._problems
        if written is None:
            return ()
        connector = None if output is None else output.connector
        if output is not None and connector is not None and not connector.takes_attributes:
            message = f"`{output.output.id}` ({output.output.connector}) accepts no user attributes"
            mark, at = read.mark("user_attributes"), f"{read.path}.user_attributes"
            problems.error("attributes-not-taken", mark, at, message, "leave the key out")
        for name, (item, at) in zip(written, read.items("user_attributes"), strict=True):
            attribute = self._calculated.by_id.get(name)
            outside = [
                target.id
                for target in targets
                if attribute is not None
                and target.certain
                and attribute.workspace not in target.workspaces
            ]
            if attribute is not None and outside:
                message = (
                    f"the calculated attribute `{name}` is of workspace `{attribute.workspace}`,"
                    f" where `{outside[0]}` is not"
                )
                advice = "share attributes of the audience's own workspaces"
                problems.error("workspace-outside-audience", item.mark, at, message, advice)
        return tuple(
            dict.fromkeys(
                name if name in self._calculated.by_id else folded_key(name) for name in written
            )
        )

    # one of each

    def _make(self, made: _Made, read: Read[ConnectionRecord]) -> None:
        identity = made.connection.id
        earlier = self._made.get(identity)
        if earlier is None or (earlier.is_bulk and not made.is_bulk):
            # In the place of the bulk entry, so that the order stays that of the audiences.
            self._made[identity] = made
            return
        if made.is_bulk and (not earlier.is_bulk or made.connection == earlier.connection):
            return
        where = f"{earlier.mark.file}:{earlier.mark.line}"
        message = f"the connection `{identity}` is already made at {where}"
        advice = "keep one of the two"
        if made.is_bulk:
            message += ", with other values"
            advice = "make both equal, or define this connection by a separate entry"
        self._problems.error("duplicate-id", made.mark, read.path, message, advice)
