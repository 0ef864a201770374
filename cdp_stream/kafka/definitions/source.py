"""Where a worker gets its definitions: from files, or from the topic of applied ones, followed.

A version that cannot be used (a damaged record, a language that this release does not know) is
logged and counted, and the one before stays in force. It also does while a version's outputs have
no topics yet; later versions are read in any case.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from aiokafka.errors import KafkaError

from cdp_stream.core.model.definition import Account
from cdp_stream.definitions import load_texts
from cdp_stream.errors import CdpError
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.clients.topic_follower import TopicFollower
from cdp_stream.kafka.definitions.topic import Applied, applied_of, read_applied, skips
from cdp_stream.kafka.topics.catalog import DEFINITIONS
from cdp_stream.kafka.topics.ensure import ensure_definitions_topic, ensure_topics
from cdp_stream.observability.log import log
from cdp_stream.partition.definitions import Definitions
from cdp_stream.settings import Settings

__all__ = ["AppliedDefinitions", "DefinitionsSource", "FileDefinitions", "started"]

_AGAIN_S = 5.0
_KEPT = 20
"""Versions whose files are kept, for partitions whose rows are still under them."""


class DefinitionsSource(Protocol):
    """Supplies the definitions of a worker.

    Attributes:
        topic: The one that it follows, ``None`` for none.
    """

    topic: str | None

    @property
    def latest(self) -> Definitions:
        """The newest that can be used."""
        ...

    @property
    def invalid(self) -> int:
        """How many versions could not be used so far."""
        ...

    def known(self, version: str) -> Definitions | None:
        """The definitions of a version, ``None`` if they are not available any more."""
        ...

    def is_newer(self, version: str) -> bool:
        """Whether a version comes after the latest: no partition may switch back from it."""
        ...

    def has_read(self, version: str) -> bool:
        """Whether a newer version is known of, and is not ready yet or cannot be used here."""
        ...

    def between(self, version: str | None, later: str) -> list[Account]:
        """What the versions between two defined, in order, as far as they are available."""
        ...

    async def start(self, changed: Callable[[], None]) -> None:
        """Return as soon as there is a ``latest``; ``changed`` is called for each later one."""
        ...

    async def stop(self) -> None:
        """Stop following."""
        ...


class FileDefinitions:
    """Definitions from files, the same for as long as the worker runs."""

    topic: str | None = None

    def __init__(self, definitions: Definitions, settings: Settings) -> None:
        self._settings = settings
        self.latest = definitions
        self.invalid = 0

    def known(self, version: str) -> Definitions | None:
        """The definitions of the files, if the version is theirs."""
        return self.latest if version == self.latest.version else None

    def is_newer(self, version: str) -> bool:
        """Never: the files alone count."""
        return False

    def has_read(self, version: str) -> bool:
        """There is no other."""
        return False

    def between(self, version: str | None, later: str) -> list[Account]:
        """Nothing is known of other files."""
        return []

    async def start(self, changed: Callable[[], None]) -> None:
        """Create the missing topics of outputs."""
        await _ensure_outputs(self._settings, self.latest)

    async def stop(self) -> None:
        """Nothing to do."""


class AppliedDefinitions:
    """Definitions from the topic.

    Args:
        settings: Where it is, and how to connect.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Mapping[str, Any] = client_settings(settings)
        self._topic = settings.topic(DEFINITIONS.suffix)
        self.topic: str | None = self._topic
        self._applied: dict[str, Applied] = {}
        self._compiled: dict[str, Definitions | None] = {}
        self._latest: Definitions | None = None
        self._follower = TopicFollower(self._client, self._topic, self._read)
        self._next = 0
        self._newest = 0
        self._changed: Callable[[], None] = lambda: None
        self._following: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._has_stopped = False
        self.invalid = 0

    @property
    def latest(self) -> Definitions:
        """The newest that can be used; only after :meth:`start`."""
        assert self._latest is not None
        return self._latest

    def known(self, version: str) -> Definitions | None:
        """The definitions of a version that the topic still had when it was read."""
        if self._latest is not None and version == self._latest.version:
            return self._latest
        # Another thread may call this while the oldest versions are dropped.
        applied = self._applied.get(version)
        if version not in self._compiled and applied is not None:
            self._compiled[version] = _compiled(applied, self._settings.row_limit)
        return self._compiled.get(version)

    def is_newer(self, version: str) -> bool:
        """Whether a version's number is above that of the latest that can be used."""
        return version.isdecimal() and int(version) > int(self.latest.version)

    def has_read(self, version: str) -> bool:
        """Whether the topic had it: it is being prepared, or this release cannot use it."""
        return version.isdecimal() and int(version) <= self._newest

    def between(self, version: str | None, later: str) -> list[Account]:
        """Those that the topic still had, and that can be used; another thread may call this, as
        each may have to be compiled.
        """
        if version is None or not version.isdecimal():
            return []
        numbers = [one for one in list(self._applied) if int(version) < int(one) < int(later)]
        found = []
        for one in numbers:
            if self._has_stopped:
                break
            if (definitions := self.known(one)) is not None:
                found.append(definitions.account)
        return found

    async def start(self, changed: Callable[[], None]) -> None:
        """Read the topic to its end, wait until it has usable definitions, and follow it."""
        await ensure_definitions_topic(self._settings)
        there = asyncio.Event()

        def noticed() -> None:
            there.set()
            changed()

        self._changed = noticed
        await self._take(await read_applied(self._client, self._topic))
        if self._preparing is None:
            log("waiting_for_definitions", topic=self._topic, level=logging.WARNING,
                next="run `cdp apply FILE...`, or start the worker with --definitions")  # fmt: skip
        self._following = asyncio.create_task(self._follower.follow(self._next))
        await there.wait()

    async def stop(self) -> None:
        """Stop following."""
        self._has_stopped = True
        await _end(self._following)
        await _end(self._preparing)

    async def _read(self, records: list[Any]) -> None:
        await self._take(await self._versions_in(records))

    async def _versions_in(self, records: list[Any]) -> list[Applied]:
        """The versions that come after those that were read."""
        if not (self._newest and skips(records, self._newest)):
            return applied_of(records, self._newest)
        found = await read_applied(self._client, self._topic)
        return [one for one in found if one.record.version > self._newest]

    async def _take(self, applied: Iterable[Applied]) -> None:
        """Note versions in their order, and prepare the newest that can be used."""
        found = list(applied)
        for one in found:
            self._applied[str(one.record.version)] = one
            self._newest = one.record.version
            self._next = one.offset + 1
        # Only the newest is needed now, and compiling is slow.
        for one in reversed(found):
            version = str(one.record.version)
            definitions = await asyncio.to_thread(_compiled, one, self._settings.row_limit)
            self._compiled[version] = definitions
            if definitions is not None:
                # A version that is still in preparation is replaced; it might never be ready.
                await _end(self._preparing)
                self._preparing = asyncio.create_task(self._prepare(definitions, one))
                break
            self.invalid += 1
        for version in list(self._applied)[:-_KEPT]:
            del self._applied[version]
        # Also those that `known` has compiled while they were dropped.
        for version in set(self._compiled) - set(self._applied):
            del self._compiled[version]

    async def _prepare(self, definitions: Definitions, applied: Applied) -> None:
        """Put a version in force as soon as its outputs have topics."""
        while True:
            try:
                await _ensure_outputs(self._settings, definitions)
                break
            except (CdpError, KafkaError, OSError) as error:
                log("outputs_without_topics", level=logging.ERROR, version=definitions.version,
                    reason=str(error) or repr(error),
                    next="correct that, and the worker tries again; or apply other definitions",
                )  # fmt: skip
                await asyncio.sleep(_AGAIN_S)
        self._latest = definitions
        log("definitions_read", version=definitions.version, digest=applied.record.digest,
            audiences=len(definitions.account.audiences))  # fmt: skip
        self._changed()


async def started(
    definitions: DefinitionsSource, changed: Callable[[], None], stopping: asyncio.Event
) -> bool:
    """Start the source, and wait for definitions or `stopping`; returns whether there are any."""
    starting = asyncio.ensure_future(definitions.start(changed))
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if starting.done():
        starting.result()
        return True
    starting.cancel()
    return False


async def _end(task: asyncio.Task[None] | None) -> None:
    """Cancel a task, and wait until it has ended."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])


async def _ensure_outputs(settings: Settings, definitions: Definitions) -> None:
    """Create the missing topics of outputs; definitions are of no use before."""
    outputs = [output.id for output in definitions.account.outputs]
    if outputs:
        await ensure_topics(settings, outputs)


def _compiled(applied: Applied, row_limit: int) -> Definitions | None:
    record = applied.record
    loaded = load_texts((file.name, file.text) for file in record.files)
    account: Account | None = loaded.account
    if account is not None and account.id == applied.account:
        account = replace(account, row_limit=row_limit)
        return Definitions(str(record.version), applied.time, account)
    # Without their texts, which may repeat an address that a criterion tests.
    problems = [f"{one.file}:{one.line}:{one.column} [{one.code}]" for one in loaded.errors[:5]]
    log("definitions_invalid", level=logging.ERROR, version=record.version, problems=problems,
        next="run `cdp check` of this release on them, and apply definitions that it can read; "
             "the earlier ones stay in force",
    )  # fmt: skip
    return None
