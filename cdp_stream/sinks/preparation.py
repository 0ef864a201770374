"""Which outputs can run as they are defined: settings filled in, files and topics checked.

One that cannot run gets a fault and stops no other, neither at a process's start nor later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cdp_stream.connectors.connector import AnyConnector
from cdp_stream.connectors.exchange import Fault
from cdp_stream.connectors.registry import CONNECTORS, connector_class
from cdp_stream.core.model.connection import Connection, Output
from cdp_stream.core.secret_names import names_in
from cdp_stream.errors import CdpError, UsageError
from cdp_stream.observability.log import log
from cdp_stream.sinks.delivery.record_reader import settings_problems
from cdp_stream.sinks.http.secrets import Redaction, Secrets
from cdp_stream.sinks.reporting.metrics import OutputMetrics, SinkMetrics
from cdp_stream.sinks.state.faults import Faults, faulted
from cdp_stream.sinks.state.sink_state import SinkState
from cdp_stream.wall_clock import wall_ms

__all__ = [
    "MakeTopics",
    "Preparation",
    "PreparedOutput",
    "check_environment",
    "faults_of",
    "selected",
]

MakeTopics = Callable[[Collection[str]], Awaitable[Mapping[str, CdpError]]]
"""Makes and checks the topics of outputs, by their ids; returns what is wrong with which."""


@dataclass(frozen=True, slots=True)
class PreparedOutput:
    """An output that can run.

    Attributes:
        definition: As written, by which a change is noticed.
        connector: With its settings filled in.
        redaction: Knows its secrets.
    """

    definition: Output
    connector: AnyConnector
    redaction: Redaction


def selected(outputs: Sequence[Output], only: Collection[str]) -> list[Output]:
    """The outputs that this process is to run; without `only`, all.

    Raises:
        UsageError: One is named that is not defined.
    """
    known = {output.id for output in outputs}
    if unknown := sorted(set(only) - known):
        raise UsageError(
            f"--output: there is no output `{unknown[0]}`",
            f"defined are: {', '.join(sorted(known)) or 'none'}",
        )
    return [output for output in outputs if not only or output.id in only]


def check_environment(
    outputs: Sequence[Output], connections: Sequence[Connection], secrets: Secrets
) -> None:
    """Check that every variable that these outputs and their connections name is available.

    Raises:
        UsageError: Some are not; all are named.
    """
    ids = {output.id for output in outputs}
    wanted: dict[str, list[str]] = {}
    for output in outputs:
        for name in names_in(output.settings):
            wanted.setdefault(name, []).append(f"output {output.id}")
    for connection in connections:
        if connection.output in ids and connection.active:
            for name in names_in(connection.settings):
                wanted.setdefault(name, []).append(f"connection {connection.id}")
    lacking = {
        name: f"(for {', '.join(dict.fromkeys(users))})"
        for name, users in wanted.items()
        if not secrets.has(name)
    }
    unset = [f"{name} {users}" for name, users in lacking.items() if not secrets.why_not(name)]
    found = [f"{why} {users}" for name, users in lacking.items() if (why := secrets.why_not(name))]
    if unset:
        noun = "variable is" if len(unset) == 1 else "variables are"
        found.append(f"{len(unset)} environment {noun} not set: {', '.join(unset)}")
    if found:
        raise UsageError("; ".join(found), "set them in the worker's environment, then restart it")


def prepare(
    output: Output,
    secrets: Secrets,
    find: Callable[[str], type[Any]] = connector_class,
    outputs_dir: Path | None = None,
) -> PreparedOutput:
    """Prepare an output.

    Args:
        find: The connector's class by its name.
        outputs_dir: The folder of all files that its settings name; None allows any.

    Raises:
        UsageError: The connector is unknown or lacks its extra, a variable is not available, or the
            settings do not fit, or name a file elsewhere.
    """
    kind = _class_of(output, find)
    if lacking := secrets.lacking(output.settings):
        raise UsageError(
            f"output {output.id}: {'; '.join(lacking)}",
            "correct that in the worker's environment, and restart it",
        )
    redaction = Redaction(secrets.used_by(output.settings))
    try:
        settings = kind.output_settings.model_validate(secrets.filled(output.settings))
        connector = kind(output.id, settings)
        _check_paths(connector, outputs_dir)
    except ValidationError as error:
        raise UsageError(
            redaction(f"output {output.id}: its settings are invalid: {settings_problems(error)}"),
            f"see `cdp connectors --connector {output.connector}`; correct the settings or their "
            f"environment variables, and restart the worker",
        ) from None
    except ImportError as error:
        raise _lacks_extra(output, kind.extra, error) from error
    except CdpError as error:
        raise type(error)(redaction(error.message), redaction(error.next_step)) from None
    return PreparedOutput(output, connector, redaction)


def _check_paths(connector: AnyConnector, outputs_dir: Path | None) -> None:
    """Refuse files outside a folder, by whatever links they lead there."""
    if outputs_dir is None:
        return
    try:
        paths = connector.paths
    except Fault as fault:
        raise UsageError(fault.message) from None
    for path in paths:
        if not path.resolve().is_relative_to(outputs_dir.resolve()):
            raise UsageError(
                f"output {connector.output}: {path} is outside of {outputs_dir}, the folder of "
                "files that outputs name (outputs_dir)",
                "name a path in it, or have operators choose another folder",
            )


def faults_of(
    outputs: Sequence[Output], secrets: Secrets, outputs_dir: Path | None = None
) -> list[str]:
    """Why outputs cannot run, in a sentence each; without any secret."""
    found: list[str] = []
    for output in outputs:
        try:
            prepare(output, secrets, outputs_dir=outputs_dir)
        except CdpError as error:
            found.append(str(error))
    return found


def _class_of(output: Output, find: Callable[[str], type[Any]]) -> type[Any]:
    try:
        return find(output.connector)
    except KeyError as error:
        raise UsageError(
            f"output {output.id}: there is no connector `{output.connector}`",
            f"there are: {', '.join(CONNECTORS)}",
        ) from error
    except ImportError as error:
        raise _lacks_extra(output, None, error) from error


def _lacks_extra(output: Output, extra: str | None, error: ImportError) -> UsageError:
    hint = f"pip install 'cdp-stream[{extra}]'" if extra else f"install {error.name}"
    return UsageError(
        f"output {output.id}: connector {output.connector} needs {error.name}, which is not "
        "installed",
        hint,
    )


class Preparation:
    """Prepares outputs to run, and gives those that cannot a fault.

    Args:
        secrets: Fill in `${NAME}`.
        find: A connector's class by its name.
        make_topics: Called with outputs that are new, or were changed.
        outputs_dir: The folder of all files that settings name; None allows any.

    Attributes:
        resumed: Set when one that cannot run is resumed: it has to be prepared again.
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
        self._faulted: dict[str, OutputMetrics] = {}
        self._prepared: dict[str, Output] = {}
        self._has_started = False
        self.resumed = asyncio.Event()
        faults.topic.listen(self._look)

    async def prepare(self, outputs: Sequence[Output]) -> list[PreparedOutput]:
        """Those that can run; the others have a fault, in all places where faults are."""
        found: list[PreparedOutput] = []
        for removed in self._faulted.keys() - {output.id for output in outputs}:
            self._faulted.pop(removed).forget()
        new = [output.id for output in outputs if self._prepared.get(output.id) != output]
        without_topics = await self._make_topics(new) if new else {}
        for output in outputs:
            try:
                prepared = prepare(output, self._secrets, self._find, self._outputs_dir)
                if output.id in without_topics:
                    raise without_topics[output.id]
            except CdpError as error:
                await self._fault(output, str(error))
            else:
                found.append(prepared)
                self._faulted.pop(output.id, None)
                if not self._has_started:
                    # Only as a process starts: it may have what another lacked. Processes that run
                    # do not end such faults, or they would contradict each other all the time.
                    for key in await self._faults.end_lacks(output.id):
                        log("output_fault_ended", output=output.id, id=key)
        self._has_started = True
        self._prepared = {one.definition.id: one.definition for one in found}
        return found

    def report(self) -> list[dict[str, Any]]:
        """The state of those that cannot run; asked by another thread."""
        return [
            self._faults.report(output, is_ready=False) for output in sorted(self._faulted.copy())
        ]

    def _look(self, key: str) -> None:
        if key in self._faulted and self._faults.record(key) is None:
            self.resumed.set()

    async def _fault(self, output: Output, why: str) -> None:
        is_new = self._faults.record(output.id) is None
        if is_new:
            await self._faults.put(faulted(output.id, None, why, wall_ms(), until_ready=True))
        metrics = self._faulted.get(output.id)
        if metrics is None:
            metrics = self._faulted[output.id] = self._metrics.of(output.id)
            is_new = True
        if is_new:
            metrics.faulted("output")
            log("output_fault", level=logging.ERROR, output=output.id, connection=None,
                code="not_ready", status=None, reason=why,
                next=f"cdp outputs resume {output.id}")  # fmt: skip
        metrics.show_stopped(self._faults)
        await self._state.note_connector(output.id, output.connector)
