"""The sinks of a worker that runs profiles too: a child process, which the worker supervises.

So a partner that does not answer, or the encoding of millions of changes, costs the profiles
nothing but a share of the machine. The child is started again when it ends, a little later each
time. A mistake of the user's ends the worker instead: a restart would meet it again. The worker
serves the child's metrics with its own.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from cdp_stream.errors import CdpError, InputError, UsageError
from cdp_stream.observability.log import log

__all__ = ["ChildMetrics", "SinksChild"]

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_STEADY_S: Final = 60.0
_PATIENCE_S: Final = 9.0
_SCRAPE_S: Final = 2.0
_LONGEST: Final = 1 << 16
"""Characters: longer lines of the child are passed on in parts."""
_MISTAKES: Final[dict[int, type[CdpError]]] = {1: InputError, 2: UsageError}


class ChildMetrics(Collector):
    """The child's metrics, among those of the parent."""

    def __init__(self) -> None:
        self.port: int | None = None
        self.restarts = 0

    def url(self, path: str) -> str:
        """Where the child answers."""
        return f"http://127.0.0.1:{self.port}{path}"

    def describe(self) -> Iterable[Metric]:
        """No names in advance: they depend on the child."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The child's metrics now; none while it does not answer."""
        restarts = Metric(
            "cdp_sinks_restarts", "Times that the process of the sinks was started again", "counter"
        )
        restarts.add_sample("cdp_sinks_restarts_total", {}, self.restarts)
        yield restarts
        if self.port is None:
            return
        with (
            contextlib.suppress(URLError, OSError, ValueError),
            urlopen(self.url("/metrics"), timeout=_SCRAPE_S) as answer,
        ):
            yield from text_string_to_metric_families(answer.read().decode())


class SinksChild:
    """Keeps one sinks process running.

    Args:
        command: Starts it.
        metrics: Reads the child's, whose port it gets from here.
        again: Arguments added to the command at each restart.
    """

    def __init__(
        self, command: Sequence[str], metrics: ChildMetrics, again: Sequence[str] = ()
    ) -> None:
        self._command = list(command)
        self._again = list(again)
        self.metrics = metrics
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    @property
    def is_up(self) -> bool:
        """Whether it runs, and the port where it answers is known."""
        return self.metrics.port is not None

    def report(self) -> Mapping[str, Any]:
        """The states of its outputs, from itself; none while it does not answer."""
        answered: dict[str, Any] = {"outputs": []}
        if self.metrics.port is not None:
            with (
                contextlib.suppress(URLError, OSError, ValueError),
                urlopen(self.metrics.url("/outputs"), timeout=_SCRAPE_S) as answer,
            ):
                answered = json.loads(answer.read())
        return {"sinks": {"up": self.is_up, "restarts": self.metrics.restarts}, **answered}

    async def run(self) -> CdpError:
        """Keep it running; returns the user's mistake that it ended with."""
        pause = _FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            code, words = await self._run_once()
            if code in _MISTAKES:
                return _MISTAKES[code](words or "the sinks could not start")
            if loop.time() - started > _STEADY_S:
                pause = _FIRST_PAUSE_S
            log("sinks_exited", level=logging.ERROR, exit_code=code, again_in_s=pause,
                reason=words or None, next="nothing: they are started again")  # fmt: skip
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_S, 2 * pause)
            self.metrics.restarts += 1

    async def stop(self) -> None:
        """End the child: it drains, and is killed when that takes too long."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _run_once(self) -> tuple[int, str]:
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            *(self._again if self.metrics.restarts else ()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Ctrl-C in a terminal reaches us alone, and we end the child.
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        # Both go on until the child has ended: with full pipes it could neither write nor end.
        answers = asyncio.create_task(self._learn_port(process, process.stdout))
        words = asyncio.create_task(_pass_on(process.stderr))
        try:
            code = await process.wait()
            await answers
        finally:
            self.metrics.port = None
        return code, await words

    async def _learn_port(
        self, process: asyncio.subprocess.Process, stream: asyncio.StreamReader
    ) -> None:
        """Take the port from the first line; every other line is passed on."""
        is_first = True
        async for text, _ in _parts(stream):
            if not is_first:
                _show(text)
            elif process.returncode is None and text.strip().isdecimal():
                self.metrics.port = int(text)
            is_first = False


async def _pass_on(stream: asyncio.StreamReader) -> str:
    """Pass on the child's lines; returns the error that it ended with, if there was one."""
    last = ""
    async for text, begins in _parts(stream):
        if begins:
            last = ""
            if text.startswith("cdp: "):
                last = text.removeprefix("cdp: ").strip()
        if not last:  # else the caller shows it
            _show(text)
    return last


async def _parts(stream: asyncio.StreamReader) -> AsyncIterator[tuple[str, bool]]:
    """Lines with their ends, and whether it is the beginning of one: long ones come in parts."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    left, begins = "", True
    while read := await stream.read(_LONGEST):
        *lines, left = (left + decoder.decode(read)).split("\n")
        for line in lines:
            yield f"{line}\n", begins
            begins = True
        if len(left) >= _LONGEST:
            yield left, begins
            left, begins = "", False
    if left:
        yield left, begins


def _show(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # our own standard error may be closed
        sys.stderr.write(text)
        sys.stderr.flush()
