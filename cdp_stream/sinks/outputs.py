"""Outputs as defined, made ready to run: settings filled in from the environment and checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from cdp_stream.connectors.connector import AnyConnector
from cdp_stream.connectors.registry import CONNECTORS, connector_class
from cdp_stream.core.connection import Connection, Output
from cdp_stream.errors import CdpError, UsageError
from cdp_stream.sinks.environment import Redaction, filled, names_in
from cdp_stream.sinks.reading import settings_problems

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
    outputs: Sequence[Output], connections: Sequence[Connection], environment: Mapping[str, str]
) -> None:
    """Check that every variable that these outputs and their connections ask for is set.

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
    missing = [
        f"{name} (for {', '.join(dict.fromkeys(users))})"
        for name, users in wanted.items()
        if name not in environment
    ]
    if missing:
        noun = "variable is" if len(missing) == 1 else "variables are"
        raise UsageError(
            f"{len(missing)} environment {noun} not set: {', '.join(missing)}",
            "set them where the worker starts, then start it again",
        )


def prepare(
    output: Output,
    environment: Mapping[str, str],
    find: Callable[[str], type[Any]] = connector_class,
) -> PreparedOutput:
    """Make an output ready.

    Args:
        find: the connector's class by its name.

    Raises:
        UsageError: the connector is unknown or lacks its extra, a variable is not set, or the
            settings do not fit.
    """
    kind = _class_of(output, find)
    missing = [name for name in dict.fromkeys(names_in(output.settings)) if name not in environment]
    if missing:
        raise UsageError(
            f"output {output.id}: not set in the environment: {', '.join(missing)}",
            "set them where the worker starts, start it again, then resume the output",
        )
    redaction = Redaction(environment[name] for name in names_in(output.settings))
    try:
        settings = kind.output_settings.model_validate(filled(output.settings, environment))
        connector = kind(output.id, settings)
    except ValidationError as error:
        raise UsageError(
            redaction(f"output {output.id}: its settings do not fit: {settings_problems(error)}"),
            f"see `cdp connectors --connector {output.connector}`; correct the settings or what "
            "they take from the environment, start the worker again, then resume the output",
        ) from None
    except ImportError as error:
        raise _lacks_extra(output, kind.extra, error) from error
    except CdpError as error:
        raise type(error)(redaction(error.message), redaction(error.next_step)) from None
    return PreparedOutput(output, connector, redaction)


def faults_of(outputs: Sequence[Output], environment: Mapping[str, str]) -> list[str]:
    """Why outputs cannot run, in a sentence each; without any secret."""
    found: list[str] = []
    for output in outputs:
        try:
            prepare(output, environment)
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
