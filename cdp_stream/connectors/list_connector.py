"""Partners that keep a list for each audience: when a list is missing, filled or deleted.

A subclass names the forms of identities that the partner compares, sends members in `update`, and
finds or makes a list in `create_list`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeVar

from pydantic import Field

from cdp_stream.connectors.calls import Refusals, no_list
from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.connector import HttpConnector
from cdp_stream.connectors.exchange import Delivery, Outcome
from cdp_stream.connectors.members.members import Form, Member, last_of_each_form, outcome
from cdp_stream.connectors.settings import ConnectionSettings, HttpSettings, PartnerId

__all__ = ["ListConnection", "ListConnector"]


class ListConnection(ConnectionSettings):
    """One list at the partner."""

    list_id: PartnerId | None = Field(
        None, description="The list's id; default: a list with the audience's name is created."
    )


H = TypeVar("H", bound=HttpSettings)
L = TypeVar("L", bound=ListConnection)


class ListConnector(HttpConnector[H, L]):
    """Keeps a list at the partner equal to the audience.

    Attributes:
        forms: by identity type, the form in which the partner compares identities. An instance may
            narrow it to the type that its settings choose.
        no_list_advice: what the operator does about a connection without a list.
    """

    forms: Mapping[str, Form]
    no_list_advice: ClassVar[str] = "set its `list_id`"

    @property
    def creates_lists(self) -> bool:
        """True, unless a subclass overrides it."""
        return True

    def list_of(self, settings: L) -> str | None:
        """Its `list_id`."""
        return settings.list_id

    def deliver(self, changes: Sequence[OutputChange[L]]) -> Delivery:
        """Update the list with the last change of each identity, or delete the list.

        Raises:
            Fault: there is no list, or the partner refuses it.
        """
        first = changes[0]
        if first.action == AUDIENCE_DELETE:
            return Outcome() if first.list_id is None else (yield from self.drop(first.list_id))
        if first.list_id is None:
            raise no_list(self.title, first.connection, self.no_list_advice)
        members, unusable = last_of_each_form(changes, self.forms)
        refused = yield from self.update(members)
        return outcome(refused, unusable)

    @abstractmethod
    def update(self, members: Sequence[Member]) -> Refusals:
        """Send members of one list, each identity once; returns those that were refused, and why.

        Raises:
            Fault: the partner does not know the list, or refuses every change of it.
        """

    @abstractmethod
    def drop(self, list_id: str) -> Delivery:
        """Delete a list; one that is not there counts as deleted.

        Raises:
            Fault: the partner does not delete it.
        """
