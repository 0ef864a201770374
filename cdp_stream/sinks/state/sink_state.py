"""What sinks remember in `cdp.sink-state`, beside what Kafka keeps of their groups.

Per output and partition: the positions that the group's own cannot express (`progress.py`). Per
connection: the partner's list that was made for it, that one is wanted, the settings that
definitions gave it, and those that faults were about. Per deletion of an audience: which partitions
wait for it, and that it was done. Per output: its connector and the ids of its connections, also
after it was removed. Per topic of rejects: which of them have been sent again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal

from cdp_stream.sinks.state.followed_topic import FollowedTopic

__all__ = ["DeletionMark", "SinkState"]

_MOST_SETTINGS: Final = 20
"""Of one connection, the newest: what waits was written with one of the last few."""

DeletionMark = Literal["overdue", "passed"]
"""Of a deletion in one partition: other partitions lacked it for so long that it was a fault; this
partition went on without it."""


class SinkState:
    """Typed access to the topic.

    Args:
        topic: `cdp.sink-state`.
    """

    def __init__(self, topic: FollowedTopic) -> None:
        self.topic = topic

    def _get(self, key: str) -> Mapping[str, Any]:
        """The value of a key; empty where there is none."""
        return self.topic.values.get(key, {})

    async def _put(self, value: dict[str, Any] | None, key: str) -> None:
        """Write a value if it is another; None removes it."""
        if self.topic.values.get(key) != value:
            await self.topic.put(key, value)

    def kept(self, output: str, partition: int) -> Mapping[str, Any] | None:
        """What `Progress.kept` of a partition returned last."""
        return self._get(f"position:{output}:{partition}") or None

    async def keep(self, output: str, partition: int, kept: dict[str, Any] | None) -> None:
        """Write it."""
        await self._put(kept, f"position:{output}:{partition}")

    def connector(self, output: str) -> str | None:
        """Which connector an output had when it last ran; None where it was removed since."""
        value = self._get(f"output:{output}")
        return None if value.get("removed") else value.get("connector")

    def outputs(self) -> list[str]:
        """Every output that has run and was not removed."""
        known = (key.partition(":") for key in list(self.topic.values))
        return sorted(
            name for kind, _, name in known if kind == "output" and self.connector(name) is not None
        )

    async def note_connector(self, output: str, connector: str | None) -> None:
        """Remember an output's connector; None where it was removed.

        Lists that were made at the partner of another connector are forgotten. An output that is
        removed may come back, with deletions that wait in its topic and are about those lists: so
        they stay until it comes with another connector.
        """
        before = dict(self._get(f"output:{output}"))
        if connector is None:
            await self._put({**before, "removed": True} if before else None, f"output:{output}")
            return
        value = {"connector": connector}
        if "connections" in before:
            value["connections"] = before["connections"]
        if before and before.get("connector") != connector:
            for key in [key for key in self.topic.values if key.startswith("list:")]:
                if key.rpartition("@")[2] == output:
                    await self._put(None, key)
        await self._put(value, f"output:{output}")

    def connections(self, output: str) -> list[str]:
        """The ids of an output's connections when it last ran."""
        return [str(one) for one in self._get(f"output:{output}").get("connections", ())]

    async def note_connections(self, output: str, connections: Collection[str]) -> None:
        """Remember the connections of an output whose connector is known."""
        before = dict(self._get(f"output:{output}"))
        if before and self.connections(output) != sorted(connections):
            await self._put({**before, "connections": sorted(connections)}, f"output:{output}")

    # -- lists -------------------------------------------------------------------------------------

    def list_of(self, connection: str) -> str | None:
        """The list that was made for a connection."""
        value = self._get(f"list:{connection}")
        return str(value["list_id"]) if value else None

    async def note_list(self, connection: str, list_id: str | None) -> None:
        """Remember it; None forgets it."""
        await self._put(None if list_id is None else {"list_id": list_id}, f"list:{connection}")

    def lists_wanted(self, output: str) -> list[Mapping[str, Any]]:
        """The messages for which connections of an output want a list; with no person in them."""
        prefix = f"wanted-list:{output}:"
        return [v for key, v in self.topic.values.items() if key.startswith(prefix)]

    async def want_list(self, output: str, connection: str, message: Mapping[str, Any]) -> None:
        """Ask the worker with partition 0 to make one."""
        if not self._get(f"wanted-list:{output}:{connection}"):
            nobody = {"mpid": "", "message_id": "", "user_identities": [], "user_attributes": {}}
            value = {**message, **nobody, "cause": None}
            await self._put(value, f"wanted-list:{output}:{connection}")

    async def list_made(self, output: str, connection: str) -> None:
        """Forget that one is wanted."""
        await self._put(None, f"wanted-list:{output}:{connection}")

    # -- settings of connections -------------------------------------------------------------------

    def settings(self, connection: str) -> list[str]:
        """Digests of the settings that definitions gave a connection, the newest last."""
        digests: list[str] = self._get(f"settings:{connection}").get("settings", [])
        return digests

    async def note_settings(self, connection: str, digest: str) -> None:
        """Remember that definitions gave it these."""
        known = self.settings(connection)
        if digest not in known:
            value = {"settings": [*known, digest][-_MOST_SETTINGS:]}
            await self._put(value, f"settings:{connection}")

    def refused(self, connection: str) -> frozenset[str]:
        """Digests of the settings of a connection that faults were about."""
        return frozenset(self._get(f"refused:{connection}").get("settings", ()))

    async def note_refused(self, connection: str, settings: Collection[str]) -> None:
        """Remember them; none forgets them."""
        value = {"settings": sorted(settings)} if settings else None
        await self._put(value, f"refused:{connection}")

    # -- deletions of audiences --------------------------------------------------------------------

    def waits(self, connection: str, partition: int) -> str | None:
        """Behind which deletion a partition blocks the connection, all before it delivered."""
        value = self._get(f"audience-delete:{connection}:{partition}")
        return None if value.get("passed") else value.get("deletion")

    async def note_waits(self, connection: str, partition: int, deletion: str | None) -> None:
        """Remember it; None forgets it."""
        if self.waits(connection, partition) != deletion:
            value = None if deletion is None else {"deletion": deletion}
            await self._put(value, f"audience-delete:{connection}:{partition}")

    def is_marked(self, connection: str, partition: int, deletion: str, mark: DeletionMark) -> bool:
        """Whether a deletion of a connection has a mark in a partition."""
        value = self._get(f"audience-delete:{connection}:{partition}")
        return bool(value.get(mark)) and value["deletion"] == deletion

    async def note_marked(
        self, connection: str, partition: int, deletion: str, mark: DeletionMark
    ) -> None:
        """Remember the mark."""
        value = {"deletion": deletion, mark: True}
        await self._put(value, f"audience-delete:{connection}:{partition}")

    def deleted(self, connection: str, partition: int) -> str | None:
        """A partition's part in the connection's last deletion that was done."""
        deletions: Mapping[str, str] = self._get(f"audience-deleted:{connection}").get(
            "deletions", {}
        )
        return deletions.get(str(partition))

    async def note_deleted(self, connection: str, deletions: Mapping[int, str]) -> None:
        """Remember that a deletion was done: what it was in each partition."""
        value = {"deletions": {str(number): one for number, one in deletions.items()}}
        await self._put(value, f"audience-deleted:{connection}")

    # -- rejects -----------------------------------------------------------------------------------

    def sent_again(self, topic: str, partition: int) -> list[tuple[int, int]]:
        """Which records of a partition of a topic of rejects were sent again: first and last offset
        of each run of them.
        """
        value = self._get(f"sent-again:{topic}:{partition}")
        return [(int(first), int(last)) for first, last in value.get("offsets", ())]

    async def note_sent_again(
        self, topic: str, partition: int, offsets: Collection[tuple[int, int]]
    ) -> None:
        """Remember them."""
        value = {"offsets": [list(one) for one in offsets]} if offsets else None
        await self._put(value, f"sent-again:{topic}:{partition}")
