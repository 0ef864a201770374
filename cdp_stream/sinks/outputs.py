"""Outputs as defined, made ready to run: settings filled in from the environment and checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cdp_stream.connectors.connector import AnyConnector
from cdp_stream.connectors.exchange import Fault
from cdp_stream.connectors.registry import CONNECTORS, connector_class
from cdp_stream.core.connection import Connection, Output
from cdp_stream.core.secret_names import names_in
from cdp_stream.errors import CdpError, UsageError
from cdp_stream.sinks.delivery.record_reader import settings_problems
from cdp_stream.sinks.http.secrets import Redaction, Secrets

__all__ = ["PreparedOutput", "check_environment", "faults_of", "prepare", "selected"]


@dataclass(frozen=True, slots=True)
class PreparedOutput:
    """An output that can run.

    Attributes:
        definition: as written, by which a change is noticed.
        connector: with its settings filled in.
        redaction: knows its secrets.
    """

    definition: Output
    connector: AnyConnector
    redaction: Redaction


def selected(outputs: Sequence[Output], only: Collection[str]) -> list[Output]:
    """The outputs that this process is to run; without `only`, all.

    Raises:
        UsageError: one is named that is not defined.
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
    """Check that every variable that these outputs and their connections ask for is to be had.

    Raises:
        UsageError: some are not; all are named.
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
        raise UsageError("; ".join(found), "set them where the worker starts, then start it again")


def prepare(
    output: Output,
    secrets: Secrets,
    find: Callable[[str], type[Any]] = connector_class,
    outputs_dir: Path | None = None,
) -> PreparedOutput:
    """Make an output ready.

    Args:
        find: the connector's class by its name.
        outputs_dir: where all files lie that its settings name; anywhere without.

    Raises:
        UsageError: the connector is unknown or lacks its extra, a variable is not to be had, or the
            settings do not fit, or name a file elsewhere.
    """
    kind = _class_of(output, find)
    if lacking := secrets.lacking(output.settings):
        raise UsageError(
            f"output {output.id}: {'; '.join(lacking)}",
            "mend that where the worker starts, and start it again",
        )
    redaction = Redaction(secrets.used_by(output.settings))
    try:
        settings = kind.output_settings.model_validate(secrets.filled(output.settings))
        connector = kind(output.id, settings)
        _check_paths(connector, outputs_dir)
    except ValidationError as error:
        raise UsageError(
            redaction(f"output {output.id}: its settings do not fit: {settings_problems(error)}"),
            f"see `cdp connectors --connector {output.connector}`; correct the settings or what "
            "they take from the environment, and start the worker again",
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
                f"output {connector.output}: {path} lies outside of {outputs_dir}, the folder of "
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
