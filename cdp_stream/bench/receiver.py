"""A partner for benchmarks: `python -m cdp_stream.bench.receiver [hang]` prints its port.

It answers every POST with 200, or, with `hang`, none at all.

It reads no more of a request than where it ends, so that it costs next to nothing beside the sink.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class _Receiver(asyncio.Protocol):
    """One connection; requests come one after another."""

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        while data:
            if self._left == 0:
                head, end, data = (self._head + data).partition(_HEAD_END)
                if not end:
                    self._head = head
                    return
                self._head, self._left = b"", _length(head)
            used = min(self._left, len(data))
            self._left -= used
            data = data[used:]
            if self._left == 0 and self._answers and self._transport is not None:
                self._transport.write(_ANSWER)


def _length(head: bytes) -> int:
    at = head.lower().find(_LENGTH)
    return 0 if at < 0 else int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])


async def _serve(*, answers: bool) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Receiver(answers=answers), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(answers="hang" not in sys.argv))
