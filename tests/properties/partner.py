"""A partner as naive as can be: it keeps the lists that outputs tell it to keep."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

Json = Any


class Partner:
    """What was told of each connection since it is what it is, per mpid.

    Attributes:
        lists: (connection, mpid) -> identities: the adds less the deletes.
        attributes: (connection, mpid) -> the shared attributes last told, as JSON text.
        coming: the identities of the batch that is being applied.
        ended: connections of which it was told that their audience is gone.
    """

    def __init__(self) -> None:
        self.open: dict[str, Json] = {}
        self.lists: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
        self.attributes: dict[tuple[str, str], str] = {}
        self.coming: set[tuple[str, str]] = set()
        self.ended: list[str] = []
        self.ids: set[tuple[str, str]] = set()

    def switch(self, connections: list[Json], connectors: Json) -> set[str]:
        """Other definitions: a connection that is started anew has empty lists.

        Returns:
            The connections that stop, with what an output with the same connector needs no more.
        """
        now = {
            one["id"]: [one["list"], connectors[one["output"]]]
            for one in connections
            if one["active"]
        }
        for name in {*self.open, *now}:
            if self.open.get(name) != now.get(name):
                for key in [key for key in self.lists if key[0] == name]:
                    del self.lists[key]
                for key in [key for key in self.attributes if key[0] == name]:
                    del self.attributes[key]
        stopped = {name for name in self.open if name not in now}
        self.open = now
        return stopped

    def take(self, output: str, key: bytes, message: Json) -> None:
        """One message of an output's topic."""
        name, mpid = message["connection"], message["mpid"]
        assert name.endswith(f"@{output}")
        assert key == mpid.encode()
        assert (message["message_id"], name) not in self.ids, message
        self.ids.add((message["message_id"], name))
        if message["action"] == "audience_delete":
            assert mpid == ""
            self.ended.append(name)
            return
        assert message["settings"] == {"list": self.open[name][0]}, message
        told = {(one["identity_type"], one["identity"]) for one in message["user_identities"]}
        assert told, message
        listed = self.lists[name, mpid]
        if message["action"] == "add":
            assert not told & listed, message
            listed |= told
        elif message["action"] == "delete":
            # Whoever leaves is deleted with all identities that came at that instant.
            assert told <= listed | self.coming, message
            listed -= told
        else:
            assert told == listed, message
        self.attributes[name, mpid] = json.dumps(message["user_attributes"], sort_keys=True)


def as_sent(value: Json) -> Json:
    """JSON as outputs have it: an integer of more than 64 bits as text (docs/outputs.md)."""
    if isinstance(value, dict):
        return {key: as_sent(one) for key, one in value.items()}
    if isinstance(value, list):
        return [as_sent(one) for one in value]
    is_large = type(value) is int and not -(2**63) <= value < 2**64
    return str(value) if is_large else value
