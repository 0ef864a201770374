"""Topics that were deleted and created again: recognised by their ids, and never silently used.

Offsets of a topic that was created again restart at 0. Once they have reached their former values,
only the topic's id shows the change; so each partition stores, in its changelog, the id of the
input from which its rows were computed. Rows that have a position and no such note were written by
a worker whose changelog was replaced while it ran: earlier rows are lost. If the group has a
position and there are no rows, the changelog was replaced while no worker ran.

Source: docs/architecture.md, recovery.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.kafka.recovery.topic_identity import read_topic_identity

__all__ = [
    "ReplacedError",
    "TopicWatch",
    "changelog_is_gone",
    "check_applied",
    "definitions_were_replaced",
    "input_was_replaced",
]

_WATCH_S = 10.0
_NO_ID = b"-"
"""Noted where the broker has no ids (yet)."""


class ReplacedError(BrokerError):
    """A topic was replaced by another of the same name."""


class TopicWatch:
    """Knows the ids of the input and of the changelog.

    Args:
        client: Connection settings of aiokafka clients.
        events: Name of the input topic.
        changelog: Name of the changelog.
        definitions: Name of the topic of definitions, where it is followed.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        events: str,
        changelog: str,
        definitions: str | None = None,
    ) -> None:
        self._client = client
        self._events = events
        self._changelog = changelog
        self._definitions = definitions
        self._ids: dict[str, str] = {}

    async def learn(self) -> None:
        """Ask for the ids; those that are known already must not have changed.

        Raises:
            ReplacedError: A topic was created again since.
            BrokerError: The broker does not answer.
        """
        for topic in (self._events, self._changelog, self._definitions):
            if topic is None:
                continue
            _cluster, found = await read_topic_identity(self._client, topic)
            if not found:
                continue
            if self._ids.setdefault(topic, found) == found:
                continue
            if topic == self._events:
                raise input_was_replaced(topic, "while this worker read it")
            if topic == self._definitions:
                raise definitions_were_replaced(topic, "while this worker followed it")
            raise changelog_is_gone(topic, "while this worker wrote it")

    def note(self, partition: int, noted: bytes | None, position: int) -> bytes | None:
        """Compare the input with the note in a partition's rows.

        Args:
            partition: Its number.
            noted: The note in its changelog, if there is one.
            position: Offset of the last record applied; -1 before the first.

        Returns:
            The note to write; None if the changelog has it.

        Raises:
            ReplacedError: The rows are of another input, or some of them are lost.
        """
        known = self._ids.get(self._events, "").encode() or _NO_ID
        if noted == known or (noted is not None and known == _NO_ID):
            return None
        if noted is None and position >= 0:
            raise changelog_is_gone(
                self._changelog, f"and partition {partition} has only what was written since"
            )
        if noted is not None and noted != _NO_ID:
            raise input_was_replaced(
                self._events, f"since partition {partition} was read up to offset {position}"
            )
        return known

    async def watch(self) -> None:
        """Ask repeatedly.

        Raises:
            ReplacedError: A topic was created again.
        """
        while True:
            await asyncio.sleep(_WATCH_S)
            try:
                await self.learn()
            except ReplacedError:
                raise
            except BrokerError:
                continue  # it does not answer: the clients that read and write there report that


def input_was_replaced(topic: str, when: str) -> ReplacedError:
    """The error for an input that is not the one from which rows were computed."""
    return ReplacedError(
        f"{topic} was deleted and created again, or truncated, {when}",
        "restore the topic, or start afresh with another --prefix",
    )


def changelog_is_gone(topic: str, what: str) -> ReplacedError:
    """The error for rows that are not in the changelog any more."""
    return ReplacedError(
        f"{topic} was deleted and created again, {what}: the state of profiles is lost",
        "restore the topic, or stop all workers, start afresh with another --prefix, and publish "
        "the events there from their beginning",
    )


def check_applied(
    group: str, tp: TopicPartition, changelog: str, committed: int, applied: int
) -> None:
    """Check that the rows cover all that the group has committed: records in between would be
    skipped.

    Args:
        group: The group.
        tp: A partition of the input.
        changelog: Name of the changelog.
        committed: The group's position; 0 for none.
        applied: Offset of the last record that the rows cover; -1 for none.

    Raises:
        ReplacedError: They do not.
    """
    if committed <= applied + 1:
        return
    if applied < 0:
        raise changelog_is_gone(
            changelog,
            f"as partition {tp.partition} has no rows and the group's position is {committed}",
        )
    raise ReplacedError(
        f"the position of group {group} in {tp.topic}, partition {tp.partition}, is {committed}, "
        f"but {changelog} has only what came of records before {applied + 1}: those in between "
        "would be skipped",
        f"set the position back, and they are applied: kafka-consumer-groups.sh --group {group} "
        f"--topic {tp.topic}:{tp.partition} --reset-offsets --to-offset {applied + 1} --execute",
    )


def definitions_were_replaced(topic: str, what: str) -> ReplacedError:
    """The error for versions that partitions use and the topic of definitions does not have."""
    return ReplacedError(
        f"{topic} was deleted and created again, {what}",
        "restore the topic; or apply the definitions to it, run all workers once with "
        "--definitions and the same files, and then without",
    )
