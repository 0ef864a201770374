"""Outputs as they come with definitions: made ready, or given a fault.

One that cannot run stops nobody else, neither at a process's start nor later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from cdp_stream.core.connection import Output
from cdp_stream.errors import CdpError
from cdp_stream.kafka.log import log
from cdp_stream.sinks.http.secrets import Secrets
from cdp_stream.sinks.outputs import PreparedOutput, prepare
from cdp_stream.sinks.reporting.metrics import OutputMetrics, SinkMetrics
from cdp_stream.sinks.reporting.showing import show_standing, standing_of
from cdp_stream.sinks.state.faults import Faults, faulted
from cdp_stream.sinks.state.sink_state import SinkState
from cdp_stream.wall_clock import wall_ms

__all__ = ["MakeTopics", "Preparation"]

MakeTopics = Callable[[Collection[str]], Awaitable[Mapping[str, CdpError]]]
"""Makes and checks the topics of outputs, by their ids; returns what is wrong with which."""


class Preparation:
    """Makes outputs ready, and tells of those that cannot run.

    Args:
        secrets: fill in `${NAME}`.
        outputs_dir: where all files lie that settings name; anywhere without.
        find: a connector's class by its name.
        make_topics: asked for outputs that are new, or were changed.

    Attributes:
        resumed: set when one that cannot run is resumed: it is to be looked at again.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - put together in one place
        self,
        secrets: Secrets,
        find: Callable[[str], type[Any]],
        make_topics: MakeTopics,
        faults: Faults,
        state: SinkState,
        metrics: SinkMetrics,
        outputs_dir: Path | None = None,
    ) -> None:
        self._secrets = secrets
        self._outputs_dir = outputs_dir
        self._find = find
        self._make_topics = make_topics
        self._faults = faults
        self._state = state
        self._metrics = metrics
        self._unready: dict[str, OutputMetrics] = {}
        self._ready: dict[str, Output] = {}
        self._has_started = False
        self.resumed = asyncio.Event()
        faults.topic.listen(self._look)

    async def ready(self, outputs: Sequence[Output]) -> list[PreparedOutput]:
        """Those that can run; the others have a fault, in all places where faults are."""
        found: list[PreparedOutput] = []
        for gone in self._unready.keys() - {output.id for output in outputs}:
            self._unready.pop(gone).forget()
        new = [output.id for output in outputs if self._ready.get(output.id) != output]
        without_topics = await self._make_topics(new) if new else {}
        for output in outputs:
            try:
                prepared = prepare(output, self._secrets, self._find, self._outputs_dir)
                if output.id in without_topics:
                    raise without_topics[output.id]
            except CdpError as error:
                await self._tell(output, str(error))
            else:
                found.append(prepared)
                self._unready.pop(output.id, None)
                if not self._has_started:
                    # As a process starts, which may have what another lacked; of many that are
                    # running none does, so that they do not contradict each other all the time.
                    for key in await self._faults.end_lacks(output.id):
                        log("output_fault_ended", output=output.id, id=key)
        self._has_started = True
        self._ready = {one.definition.id: one.definition for one in found}
        return found

    def report(self) -> list[dict[str, Any]]:
        """How those stand that cannot run; asked by another thread."""
        return [
            standing_of(self._faults, output, is_ready=False)
            for output in sorted(self._unready.copy())
        ]

    def _look(self, key: str) -> None:
        if key in self._unready and self._faults.record(key) is None:
            self.resumed.set()

    async def _tell(self, output: Output, why: str) -> None:
        is_new = self._faults.record(output.id) is None
        if is_new:
            await self._faults.put(faulted(output.id, None, why, wall_ms(), until_ready=True))
        metrics = self._unready.get(output.id)
        if metrics is None:
            metrics = self._unready[output.id] = self._metrics.of(output.id)
            is_new = True
        if is_new:
            metrics.faulted("output")
            log("output_fault", level=logging.ERROR, output=output.id, connection=None,
                code="not_ready", status=None, reason=why,
                next=f"cdp outputs resume {output.id}")  # fmt: skip
        show_standing(self._faults, output.id, metrics)
        await self._state.note_connector(output.id, output.connector)
