"""A naive recount of what each output must be told (docs/outputs.md).

After every evaluation of the recount all that a connection says of a profile is worked out anew and
compared with what it said before. Shares no code with `cdp_stream`: see `recount.py`.
"""

from __future__ import annotations

import json
from typing import Any

from tests.properties.recount import Profile
from tests.properties.recount_account import Account
from tests.properties.recount_criteria import calculated_value
from tests.properties.recount_events import arrival
from tests.properties.recount_values import MISSING, fold

Json = Any
Message = tuple[str, int, tuple[tuple[str, str], ...], str]
"""Action, instant, identities, shared attributes as JSON text."""


class ToldProfile(Profile):
    """A profile, and what every connection is told of it.

    Args:
        connections: `{id, audience, variant, identities, share}` each; identities None is all.
    """

    def __init__(self, account: Account, mpid: int, connections: list[Json]) -> None:
        super().__init__(account, mpid)
        self.connections = connections
        self.told: dict[str, list[Message]] = {one["id"]: [] for one in connections}
        self._identities: dict[str, str] = {}
        self._shared: dict[str, str] = {}

    def _evaluate(self, kinds: set[str]) -> None:
        were, start = set(self.members), len(self.changes)
        old, new = self._identities, dict(self.identities)
        super()._evaluate(kinds)
        made = self.changes[start:]
        for one in self.connections:
            if one["variant"] in (
                None,
                self.account.audiences[one["audience"]].variant_of(self.mpid),
            ):
                self._tell(one, one["audience"] in were, made, old, new)
        self._identities = dict(self.identities)

    def _tell(
        self, one: Json, was: bool, made: list[Json], old: dict[str, str], new: dict[str, str]
    ) -> None:
        """One connection: identities gone, changes, identities come, attributes changed."""
        stays = was and one["audience"] in self.members
        attributes = self.shared(one)
        gone = [pair for pair in accepted(one, old) if pair not in new.items()]
        fresh = [pair for pair in accepted(one, new) if pair not in old.items()]
        found = [("delete", (pair,)) for pair in gone if was]
        found += [
            (change["action"], tuple(accepted(one, new)))
            for change in made
            if change["audience_id"] == one["audience"]
        ]
        found += [("add", (pair,)) for pair in fresh if stays]
        if stays and attributes != self._shared[one["id"]]:
            found.append(("attribute_update", tuple(accepted(one, new))))
        self._shared[one["id"]] = attributes
        self.told[one["id"]] += [
            (action, self.now(), identities, attributes)
            for action, identities in found
            if identities
        ]

    def shared(self, one: Json) -> str:
        """What the connection shares at this instant."""
        found = {}
        spaces = self.account.audiences[one["audience"]].workspaces
        for name in one["share"]:
            value: Json = MISSING
            if name in self.account.calculated:
                value = calculated_value(name, self)
            else:
                key = fold(name) if name.startswith("$") else name
                for space in self.account.workspaces:
                    life = self.lives.get(space)
                    if value is MISSING and space in spaces and life is not None:
                        value = life.attributes.get(key, MISSING)
            if value is not MISSING:
                found[name] = value
        return json.dumps(found, sort_keys=True)


def accepted(one: Json, identities: dict[str, str]) -> list[tuple[str, str]]:
    """The identities that the connection's connector accepts, sorted."""
    types = one["identities"]
    return sorted(pair for pair in identities.items() if types is None or pair[0] in types)


def recount_told(
    definitions: Json, connections: list[Json], batches: list[Json], until: int | None
) -> dict[int, ToldProfile]:
    """Every profile at the end, with what was told of it."""
    account = Account(definitions)
    read = [batch for batch in batches if account.input_of(batch) is not None]
    if until is None:
        until = max((arrival(batch) for batch in read), default=0)
    read = [batch for batch in read if arrival(batch) <= until]
    profiles: dict[int, ToldProfile] = {}
    for batch in read:
        mpid = int(batch["mpid"])
        if mpid not in profiles:
            profiles[mpid] = ToldProfile(account, mpid, connections)
        profiles[mpid].take(batch)
    for profile in profiles.values():
        profile.run_to(until)
    return profiles
