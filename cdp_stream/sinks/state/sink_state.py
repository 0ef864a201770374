"""What sinks remember in `cdp.sink-state`, beside what Kafka keeps of their groups.

Per output and partition: the positions that the group's own cannot say (`progress.py`). Per
connection: the partner's list that was made for it, that one is wanted, the settings that
definitions gave it, and those that faults were about. Per deletion of an audience: which partitions
wait for it, and that it was done. Per output: its connector and the ids of its connections, also
after it was removed. Per topic of what was rejected: what of it has been sent again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from cdp_stream.sinks.state.followed_topic import FollowedTopic

__all__ = ["SinkState"]

_MOST_SETTINGS: Final = 20
"""Of one connection, the newest: what waits was told with one of the last few."""


class SinkState:
    """Typed access to the topic.

    Args:
        topic: `cdp.sink-state`.
    """

    def __init__(self, topic: FollowedTopic) -> None:
        self.topic = topic

    def kept(self, output: str, partition: int) -> Mapping[str, Any] | None:
        """What `Progress.kept` of a partition said last."""
        return self.topic.values.get(f"position:{output}:{partition}")

    async def keep(self, output: str, partition: int, kept: dict[str, Any] | None) -> None:
        """Write it."""
        await self.topic.put(f"position:{output}:{partition}", kept)

    def connector(self, output: str) -> str | None:
        """Which connector an output had when it last ran; None where it was removed since."""
        value = self.topic.values.get(f"output:{output}", {})
        return None if value.get("removed") else value.get("connector")

    def outputs(self) -> list[str]:
        """Every output that has run and was not removed."""
        known = (key.partition(":") for key in list(self.topic.values))
        return sorted(
            name for kind, _, name in known if kind == "output" and self.connector(name) is not None
        )

    async def note_connector(self, output: str, connector: str | None) -> None:
        """Remember an output's connector; None where it was removed.

        Lists that were made at the partner of another connector are forgotten. What is removed may
        come back, with deletions that wait in its topic and are about those lists: so they stay
        until it comes with another connector.
        """
        key = f"output:{output}"
        before = self.topic.values.get(key)
        value: dict[str, Any] | None
        if connector is None:
            value = None if before is None else {**before, "removed": True}
        else:
            value = {"connector": connector}
            if before is not None and "connections" in before:
                value["connections"] = before["connections"]
            if before is not None and before.get("connector") != connector:
                await self._forget_lists(output)
        if value != before:
            await self.topic.put(key, value)

    def connections(self, output: str) -> list[str]:
        """The ids of an output's connections when it last ran."""
        known = self.topic.values.get(f"output:{output}", {})
        return [str(one) for one in known.get("connections", ())]

    async def note_connections(self, output: str, connections: Collection[str]) -> None:
        """Remember the connections of an output whose connector is known."""
        key = f"output:{output}"
        before = self.topic.values.get(key)
        if before is not None and self.connections(output) != sorted(connections):
            await self.topic.put(key, {**before, "connections": sorted(connections)})

    # -- lists -------------------------------------------------------------------------------------

    def list_of(self, connection: str) -> str | None:
        """The list that was made for a connection."""
        value = self.topic.values.get(f"list:{connection}")
        return None if value is None else str(value["list_id"])

    async def note_list(self, connection: str, list_id: str | None) -> None:
        """Remember it; None forgets it."""
        await self.topic.put(
            f"list:{connection}", None if list_id is None else {"list_id": list_id}
        )

    async def _forget_lists(self, output: str) -> None:
        for key in [key for key in self.topic.values if key.startswith("list:")]:
            if key.rpartition("@")[2] == output:
                await self.topic.put(key, None)

    def lists_wanted(self, output: str) -> list[Mapping[str, Any]]:
        """The messages for which connections of an output want a list; without any person in."""
        prefix = f"wanted-list:{output}:"
        return [v for key, v in self.topic.values.items() if key.startswith(prefix)]

    async def want_list(self, output: str, connection: str, message: Mapping[str, Any]) -> None:
        """Ask whoever holds partition 0 to make one."""
        key = f"wanted-list:{output}:{connection}"
        if key not in self.topic.values:
            nobody = {"mpid": "", "message_id": "", "user_identities": [], "user_attributes": {}}
            await self.topic.put(key, {**message, **nobody, "cause": None})

    async def list_made(self, output: str, connection: str) -> None:
        """It need not be asked for any more."""
        key = f"wanted-list:{output}:{connection}"
        if key in self.topic.values:
            await self.topic.put(key, None)

    # -- settings of connections -------------------------------------------------------------------

    def settings(self, connection: str) -> list[str]:
        """Digests of the settings that definitions gave a connection, the newest last."""
        digests: list[str] = self.topic.values.get(f"settings:{connection}", {}).get("settings", [])
        return digests

    async def note_settings(self, connection: str, digest: str) -> None:
        """Remember that definitions gave it these."""
        known = self.settings(connection)
        if digest not in known:
            value = {"settings": [*known, digest][-_MOST_SETTINGS:]}
            await self.topic.put(f"settings:{connection}", value)

    def refused(self, connection: str) -> frozenset[str]:
        """Digests of the settings of a connection that faults were about."""
        return frozenset(self.topic.values.get(f"refused:{connection}", {}).get("settings", ()))

    async def note_refused(self, connection: str, settings: Collection[str]) -> None:
        """Remember them; none forgets them."""
        value = {"settings": sorted(settings)} if settings else None
        if value != self.topic.values.get(f"refused:{connection}"):
            await self.topic.put(f"refused:{connection}", value)

    # -- deletions of audiences --------------------------------------------------------------------

    def waits(self, connection: str, partition: int) -> str | None:
        """Behind which deletion a partition holds the connection, all before it delivered."""
        value = self._deletion(connection, partition)
        return None if value.get("passed") else value.get("deletion")

    def is_overdue(self, connection: str, partition: int, deletion: str) -> bool:
        """Whether a fault has told that others lack the deletion that a partition waits for."""
        value = self._deletion(connection, partition)
        return bool(value.get("overdue")) and value["deletion"] == deletion

    def has_passed(self, connection: str, partition: int, deletion: str) -> bool:
        """Whether a partition has gone on behind a deletion that was not done."""
        value = self._deletion(connection, partition)
        return bool(value.get("passed")) and value["deletion"] == deletion

    def _deletion(self, connection: str, partition: int) -> Mapping[str, Any]:
        return self.topic.values.get(f"audience-delete:{connection}:{partition}", {})

    async def note_overdue(self, connection: str, partition: int, deletion: str) -> None:
        """Remember that others lack it."""
        value = {"deletion": deletion, "overdue": True}
        await self.topic.put(f"audience-delete:{connection}:{partition}", value)

    async def note_passed(self, connection: str, partition: int, deletion: str) -> None:
        """Remember that a partition goes on without it."""
        value = {"deletion": deletion, "passed": True}
        await self.topic.put(f"audience-delete:{connection}:{partition}", value)

    async def note_waits(self, connection: str, partition: int, deletion: str | None) -> None:
        """Remember it; None forgets it."""
        if self.waits(connection, partition) != deletion:
            value = None if deletion is None else {"deletion": deletion}
            await self.topic.put(f"audience-delete:{connection}:{partition}", value)

    def deleted(self, connection: str, partition: int) -> str | None:
        """A partition's part in the connection's last deletion that was done."""
        value = self.topic.values.get(f"audience-deleted:{connection}") or {}
        deletion = value.get("deletions", {}).get(str(partition))
        return None if deletion is None else str(deletion)

    async def note_deleted(self, connection: str, deletions: Mapping[int, str]) -> None:
        """Remember that a deletion was done: what it was in each partition."""
        value = {"deletions": {str(number): one for number, one in deletions.items()}}
        await self.topic.put(f"audience-deleted:{connection}", value)

    # -- what was rejected -------------------------------------------------------------------------

    def sent_again(self, topic: str, partition: int) -> list[tuple[int, int]]:
        """Which records of a partition of a topic of rejects were sent again: first and last offset
        of each run of them.
        """
        value = self.topic.values.get(f"sent-again:{topic}:{partition}", {})
        return [(int(first), int(last)) for first, last in value.get("offsets", ())]

    async def note_sent_again(
        self, topic: str, partition: int, offsets: Collection[tuple[int, int]]
    ) -> None:
        """Remember them."""
        value = {"offsets": [list(one) for one in offsets]} if offsets else None
        await self.topic.put(f"sent-again:{topic}:{partition}", value)
