"""A proxy in front of a broker: the network, which may be cut or slow, and which may hand a request
over late, or twice.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Literal

from cdp_stream.brokers.apache import ApacheKafka, resolve_jars
from cdp_stream.kafka.clients.probe import free_port

__all__ = ["KINDS", "Late", "Passage", "ProxiedKafka", "Proxy", "running_proxied_kafka"]

_HOST = "127.0.0.1"
_READ_BYTES = 65_536
_SIZE_BYTES = 4
_SLOWLY_S = 0.3
_PRODUCE, _END_TXN = 0, 26
KINDS = {
    "Produce": _PRODUCE,
    "AddPartitionsToTxn": 24,
    "AddOffsetsToTxn": 25,
    "TxnOffsetCommit": 28,
    "EndTxn": _END_TXN,
}
"""The requests of a transaction, by name."""


class Passage:
    """The connection of a client, and the one to the broker that goes with it.

    Attributes:
        is_parted: Whether only the second is left.
        answered: Set when the broker has answered something since.
    """

    def __init__(self, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self._client = client
        self._broker = broker
        self.is_parted = False
        self.answered = asyncio.Event()

    def hand_over(self, request: bytes) -> None:
        """Let the broker have a request."""
        self._broker.write(request)

    def part(self) -> None:
        """Break the client's connection alone; what is handed over from now on has no answer."""
        self.is_parted = True
        self._client.transport.abort()

    def answer(self, data: bytes) -> None:
        """Let the client have what the broker says, if it is there."""
        if not self.is_parted:
            self._client.write(data)
        self.answered.set()


HandOver = Callable[[Passage, bytes], Awaitable[None]]


async def _at_once(passage: Passage, request: bytes) -> None:
    passage.hand_over(request)


class Proxy:
    """Passes requests and answers on.

    Args:
        target: The port that it passes on to.
        port: Where it listens.

    Attributes:
        delay_s: How late everything is passed on.
        hand_over: How each request is handed over, with its size in front.
    """

    def __init__(self, target: int, port: int) -> None:
        self.delay_s = 0.0
        self.hand_over: HandOver = _at_once
        self._port = port
        self._target = target
        self._passes = asyncio.Event()
        self._passes.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._begin, _HOST, self._port)
        try:
            yield
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await server.wait_closed()

    def cut(self) -> None:
        """Let nothing through; connections stay, as nobody tells their ends."""
        self._passes.clear()

    def mend(self) -> None:
        """Let everything through again, first what has waited."""
        self._passes.set()

    def reset(self) -> None:
        """Break every connection; new ones may be made."""
        for writer in list(self._writers):
            writer.transport.abort()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends, pumps = [writer], []
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection(_HOST, self._target)
            ends.append(back)
            self._writers.add(back)
            passage = Passage(writer, back)
            answers = asyncio.create_task(self._pass_answers(there, passage, writer))
            pumps = [asyncio.create_task(self._pass_requests(reader, passage, back)), answers]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if passage.is_parted:
                await answers
        except OSError:
            pass  # the broker is not there: nor is a connection to it
        finally:
            for pump in pumps:
                pump.cancel()
            for end in ends:
                end.transport.abort()
                self._writers.remove(end)
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pass_requests(
        self, reader: asyncio.StreamReader, passage: Passage, broker: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                size = await reader.readexactly(_SIZE_BYTES)
                request = size + await reader.readexactly(int.from_bytes(size))
                await self._pass()
                await self.hand_over(passage, request)
                await broker.drain()

    async def _pass_answers(
        self, reader: asyncio.StreamReader, passage: Passage, client: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                await self._pass()
                passage.answer(data)
                if not passage.is_parted:
                    await client.drain()

    async def _pass(self) -> None:
        await self._passes.wait()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)


Way = Literal["late", "twice", "slowly"]


class Late:
    """Hands some requests of transactions over late, each client's by themselves.

    * *late*: the client's connection breaks, so that it sends the request again. When that has been
      answered, and the next transaction has written something, the first sending arrives;
    * *twice*: it arrives at once, too, but the answer does not;
    * *slowly*: it arrives a while later on the same connection.

    Args:
        kinds: API keys of those requests.
        way: How.
        clients: Something that is in every request of one client, for each of them.
        every: One in so many of a client's is late.

    Attributes:
        count: How many have arrived late.
    """

    def __init__(self, kinds: set[int], way: Way, clients: list[bytes], *, every: int = 3) -> None:
        self.count = 0
        self._kinds = kinds
        self._way = way
        self._every = every
        self._seen = dict.fromkeys(clients, 0)
        self._held: dict[bytes, tuple[Passage, bytes]] = {}
        self._ended: set[bytes] = set()

    async def __call__(self, passage: Passage, request: bytes) -> None:
        """Hand a request over, or not yet."""
        kind = int.from_bytes(request[_SIZE_BYTES : _SIZE_BYTES + 2])
        client = next((name for name in self._seen if name in request), None)
        if client is None or kind not in KINDS.values():
            passage.hand_over(request)
        elif client in self._held:
            await self._follow(passage, request, client, kind)
        elif kind in self._kinds and self._is_next(client):
            await self._disturb(passage, request, client)
        else:
            passage.hand_over(request)

    def _is_next(self, client: bytes) -> bool:
        self._seen[client] += 1
        return self._seen[client] % self._every == 0

    async def _disturb(self, passage: Passage, request: bytes, client: bytes) -> None:
        if self._way == "slowly":
            await asyncio.sleep(_SLOWLY_S)
            passage.hand_over(request)
            self.count += 1
            return
        if self._way == "twice":
            passage.hand_over(request)
        passage.part()
        self._held[client] = (passage, request)

    async def _follow(self, passage: Passage, request: bytes, client: bytes, kind: int) -> None:
        """Behind the first write that follows the end of a transaction comes what was held."""
        passage.answered.clear()
        passage.hand_over(request)
        if kind == _END_TXN:
            self._ended.add(client)
        elif kind == _PRODUCE and client in self._ended:
            self._ended.remove(client)
            await passage.answered.wait()
            first, held = self._held.pop(client)
            first.answered.clear()
            first.hand_over(held)
            await first.answered.wait()
            self.count += 1


@dataclass(frozen=True)
class ProxiedKafka:
    """A running broker that is reached in two ways.

    Attributes:
        direct: Its address for those who are not under test.
        behind: The port that a proxy passes on to.
        front: The port where a proxy is to listen.
    """

    direct: str
    behind: int
    front: int

    @property
    def address(self) -> str:
        """Its address through a proxy."""
        return f"{_HOST}:{self.front}"

    @asynccontextmanager
    async def proxy(self) -> AsyncIterator[Proxy]:
        """A running proxy in front of it."""
        proxy = Proxy(self.behind, self.front)
        async with proxy.running():
            yield proxy


@contextmanager
def running_proxied_kafka() -> Iterator[ProxiedKafka]:
    direct, behind, front = free_port(), free_port(), free_port()
    kafka = ApacheKafka(
        resolve_jars(),
        is_brief=True,
        listeners={"PROXIED": f"{_HOST}:{behind}"},
        settings={
            "listener.security.protocol.map":
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
            # Who comes through the proxy is told its address again, for all further connections.
            "advertised.listeners":
                f"PLAINTEXT://{_HOST}:{direct},PROXIED://{_HOST}:{front}",
            "group.min.session.timeout.ms": "1000",
        },
    )  # fmt: skip
    kafka.port = direct
    try:
        kafka.start()
        yield ProxiedKafka(kafka.bootstrap, behind, front)
    finally:
        kafka.close()
