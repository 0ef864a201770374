"""The messages of outputs: what each connection gets of one evaluation of a profile, for which
identities, and under which id.

`forwarding.py` decides which connections get messages, and in which order.

Source: docs/outputs.md, a message.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from cdp_stream.core.model.change import ADD, Cause, Change, Occasion
from cdp_stream.core.model.connection import Connection
from cdp_stream.core.model.operators import MISSING
from cdp_stream.core.model.row import Row, sent_size
from cdp_stream.core.outputs.shared_attributes import Shared

ATTRIBUTE_UPDATE: Final = "attribute_update"
AUDIENCE_DELETE: Final = "audience_delete"

OF_IDENTITY: Final = "identity"
OF_ATTRIBUTES: Final = "attributes"
OF_ACTIVATION: Final = "activation"
"""Kinds, in the ids of messages that have no counterpart in `cdp.memberships`."""

Identity = tuple[str, str]
Sharing = tuple[tuple[str, Shared], ...]
"""What a connection shares, by name."""


class OutputMessage(NamedTuple):
    """One message of an output.

    Attributes:
        change: with the identities that the connector accepts; `ordinal` is the number in
            `message_id` where there is no counterpart in `cdp.memberships`.
        attributes: shared attributes that have a value: decoded JSON, integers of any size.
    """

    connection: Connection
    message_id: str
    change: Change
    attributes: dict[str, Any]


class Emission(list[Change]):
    """The changes of some evaluations, and the messages that outputs get of them.

    Attributes:
        messages: in the order in which each output must get them.
        unidentified: output id -> messages that were for nobody, the profile having none of the
            identities that the connector accepts.
    """

    __slots__ = ("messages", "unidentified")

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[OutputMessage] = []
        self.unidentified: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Route:
    """An active connection, with what is needed of its audience.

    Attributes:
        key: of the connection in rows.
        order: the audience's place in the order of emission.
        emits: False of a draft: no message is about it, but the deletes when it becomes one.
        shared: what it shares, by name.
    """

    connection: Connection
    key: str
    audience_id: str
    name: str
    digest: str
    order: int
    emits: bool
    shared: Sharing

    def attributes(self, row: Row, at: int) -> dict[str, Any]:
        """The shared attributes that have a value at the row's clock."""
        read = ((name, shared.value(row, at)) for name, shared in self.shared)
        return {name: value for name, value in read if value is not MISSING}

    def accepted(self, identities: Iterable[Identity]) -> tuple[Identity, ...]:
        """The identities that the connector accepts."""
        types = self.connection.identities
        if types is None:
            return tuple(identities)
        return tuple(identity for identity in identities if identity[0] in types)


class MessageWriter:
    """Writes the messages that outputs get of one evaluation of a row.

    Args:
        emission: where to; None writes nothing.
        at: the instant of the messages, not before the row's clock.
        read_at: the instant up to which the row was evaluated.
    """

    def __init__(self, row: Row, emission: Emission | None, at: int, read_at: int) -> None:
        self._row = row
        self._emission = emission
        self._at = at
        self._read_at = read_at
        self._identities: tuple[Identity, ...] | None = None
        self._attributes: tuple[Sharing, dict[str, Any]] = ((), {})

    def change(self, route: Route, change: Change) -> None:
        """A change, as `cdp.memberships` has it."""
        accepted = route.accepted(change.identities)
        if not accepted:
            self._nobody(route)
        elif self._emission is not None:
            message = OutputMessage(
                route.connection,
                change.message_id,
                change._replace(identities=accepted),
                self._shared_by(route),
            )
            self._emission.messages.append(message)

    def identities(
        self,
        action: str,
        route: Route,
        variant: str | None,
        identities: list[Identity],
        cause: Cause,
    ) -> None:
        """Identities that came or went, each by itself."""
        for identity in route.accepted(identities):
            self._own(OF_IDENTITY, action, route, variant, (identity,), cause)

    def update(self, route: Route, variant: str | None, changed: dict[Shared, Occasion]) -> None:
        """All shared attributes, if any of them changed."""
        found = [changed[shared] for _name, shared in route.shared if shared in changed]
        if not found:
            return
        kind, event_id, event_time = found[0]
        cause = Cause(kind, None, event_id, event_time)
        self._all_identities(OF_ATTRIBUTES, ATTRIBUTE_UPDATE, route, variant, cause)

    def reshared(self, route: Route, variant: str | None, cause: Cause) -> None:
        """All shared attributes, as the connection shares others than before."""
        self._all_identities(OF_ATTRIBUTES, ATTRIBUTE_UPDATE, route, variant, cause)

    def activation(self, route: Route, variant: str | None, cause: Cause) -> None:
        """That the profile is a member, as its connection has become active."""
        self._all_identities(OF_ACTIVATION, ADD, route, variant, cause)

    def _all_identities(
        self, kind: str, action: str, route: Route, variant: str | None, cause: Cause
    ) -> None:
        if self._identities is None:
            self._identities = tuple(sorted(self._row.identities.items()))
        accepted = route.accepted(self._identities)
        if accepted:
            self._own(kind, action, route, variant, accepted, cause)
        else:
            self._nobody(route)

    def _own(
        self,
        kind: str,
        action: str,
        route: Route,
        variant: str | None,
        identities: tuple[Identity, ...],
        cause: Cause,
    ) -> None:
        if self._emission is None:
            return
        row, at = self._row, self._at
        number = _next_number(row, at, route.key)
        name = route.name if variant is None else f"{route.name} - {variant}"
        change = Change(
            action,
            route.audience_id,
            name,
            row.mpid,
            at,
            number,
            variant,
            cause,
            route.digest,
            identities,
        )
        connection = route.connection
        message_id = f"{route.audience_id}:{row.mpid}:{at}:{connection.id}:{kind}:{number}"
        message = OutputMessage(connection, message_id, change, self._shared_by(route))
        self._emission.messages.append(message)

    def _shared_by(self, route: Route) -> dict[str, Any]:
        """The attributes that a connection shares; most connections share the same."""
        sharing, attributes = self._attributes
        if sharing != route.shared:
            attributes = route.attributes(self._row, self._read_at)
            self._attributes = route.shared, attributes
        return attributes

    def _nobody(self, route: Route) -> None:
        if self._emission is not None:
            output = route.connection.output
            unidentified = self._emission.unidentified
            unidentified[output] = unidentified.get(output, 0) + 1


def _next_number(row: Row, at: int, key: str) -> int:
    """How many messages of its own the connection had of the profile at this instant."""
    row.warm()
    for past in [instant for instant in row.sent if instant < row.clock]:
        row.weight -= sent_size(row.sent.pop(past))
    sent = row.sent.get(at)
    if sent is None:
        sent = row.sent[at] = {}
        row.weight += sent_size(sent)
    number = sent.get(key, 0)
    row.weight -= sent_size(sent)
    sent[key] = number + 1
    row.weight += sent_size(sent)
    return number
