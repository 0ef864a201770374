"""A TCP proxy in front of a broker: the network, which may be cut or slow."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cdp_stream.kafka.apache import ApacheKafka, resolve_jars
from cdp_stream.kafka.probe import free_port

_HOST = "127.0.0.1"
_READ_BYTES = 65_536


class Proxy:
    """Passes bytes on, both ways.

    Args:
        target: The port that it passes on to.

    Attributes:
        port: Where it listens, once it runs.
        delay_s: How late everything is passed on.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.delay_s = 0.0
        self._target = target
        self._passes = asyncio.Event()
        self._passes.set()
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, _HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self._passes.set()
            self.reset()
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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection(_HOST, self._target)
        except OSError:
            writer.transport.abort()
            self._writers.remove(writer)
            return
        self._writers.add(back)
        pumps = [asyncio.create_task(self._pump(reader, back)),
                 asyncio.create_task(self._pump(there, writer))]  # fmt: skip
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, back):
            end.transport.abort()
            self._writers.remove(end)
        await asyncio.gather(*pumps)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                await self._passes.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()


@dataclass(frozen=True)
class ProxiedKafka:
    """A running broker that is reached in two ways.

    Attributes:
        direct: Its address for those who are not under test.
        address: Its address through the proxy.
        proxy: The proxy.
    """

    direct: str
    address: str
    proxy: Proxy


@asynccontextmanager
async def running_proxied_kafka() -> AsyncIterator[ProxiedKafka]:
    direct, behind = free_port(), free_port()
    proxy = Proxy(behind)
    async with proxy.running():
        # Who comes through the proxy is told its address again, for all further connections.
        front = f"{_HOST}:{proxy.port}"
        kafka = ApacheKafka(
            resolve_jars(),
            is_brief=True,
            listeners={"PROXIED": f"{_HOST}:{behind}"},
            settings={
                "listener.security.protocol.map":
                    "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
                "advertised.listeners": f"PLAINTEXT://{_HOST}:{direct},PROXIED://{front}",
                "group.min.session.timeout.ms": "1000",
            },
        )  # fmt: skip
        kafka.port = direct
        try:
            await asyncio.to_thread(kafka.start)
            yield ProxiedKafka(kafka.bootstrap, front, proxy)
        finally:
            await asyncio.to_thread(kafka.close)
