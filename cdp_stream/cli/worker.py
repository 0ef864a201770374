"""`cdp worker`: one worker process."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import click

from cdp_stream.cli.options import (
    SETTINGS_FILE,
    broker_option,
    files_of,
    load_account,
    prefix_option,
)
from cdp_stream.core.model.definition import Account
from cdp_stream.definitions import Loaded
from cdp_stream.errors import DiskError, UsageError
from cdp_stream.formats.definitions_record import digest_of_files
from cdp_stream.settings import Settings, load_settings

if TYPE_CHECKING:
    from cdp_stream.kafka.definitions.source import DefinitionsSource
    from cdp_stream.kafka.runtime.process import Companion

TOPOLOGIES = ("profiles", "sinks")


@click.command(
    epilog="Example: cdp worker --definitions audiences.yaml --broker localhost:9092 "
    "--metrics-port 9100"
)
@click.option(
    "--definitions",
    multiple=True,
    metavar="FILE",
    help="A definition file, or a folder of *.yaml; repeat for several.  [default: what was "
    "applied with `cdp apply`, and what is applied later]",
)
@broker_option
@prefix_option
@click.option(
    "--data-dir", metavar="DIR", help="Local files; created if missing.  [default: cdp-data]"
)
@click.option(
    "--metrics-port", metavar="PORT", help="Serve /metrics, /healthz and /readyz on this port."
)
@click.option(
    "--metrics-host", metavar="HOST", help="The address to serve them on.  [default: 0.0.0.0]"
)
@click.option(
    "--only",
    metavar="NAME,...",
    help="Run only these topologies: profiles, sinks.  [default: both]",
)
@click.option(
    "--output", "outputs", multiple=True, metavar="ID", help="Run only the sinks of these outputs."
)
@click.option("--sinks-child", is_flag=True, hidden=True)
@click.option("--sinks-restarted", is_flag=True, hidden=True)
@click.option(
    "--guarantee",
    metavar="NAME",
    help="exactly-once or at-least-once.  [default: exactly-once if the broker has transactions]",
)
@click.option(
    "--clock",
    metavar="wall|stream",
    help="What advances time when nothing arrives.  [default: wall]",
)
@click.option(
    "--grace", metavar="DURATION", help="How long a record may be on its way.  [default: 250ms]"
)
@click.option("--store", metavar="NAME", help="Local rows: rocksdb or memory.  [default: rocksdb]")
@click.option(
    "--partitions",
    metavar="N",
    help="Partitions of cdp.events, if it has to be created.  [default: 4]",
)
def command(
    definitions: tuple[str, ...],
    only: str | None,
    outputs: tuple[str, ...],
    sinks_child: bool,
    sinks_restarted: bool,
    **flags: str | None,
) -> int:
    """Evaluate profiles from Kafka, and send changes to outputs, until SIGTERM; several workers
    share the work.
    """
    topologies = _topologies(only)
    settings, sources = load_settings(flags, os.environ, SETTINGS_FILE)
    read = load_account(definitions) if definitions else None
    if "sinks" not in topologies and outputs:
        raise UsageError("--output: --only leaves the sinks out", "add sinks to --only")
    if "sinks" in topologies and read is not None:
        _check_outputs(read[0], outputs, settings, is_child=sinks_child)
    if not sinks_child:  # the parent has checked it
        _check_broker(settings)
    _make_data_dir(settings, is_child=sinks_child)
    if "profiles" not in topologies:
        return _run_sinks(
            settings, _source(settings, read), outputs, is_child=sinks_child,
            may_lack=sinks_restarted and read is None,
        )  # fmt: skip
    # Importing Faust is slow; problems of the definitions are reported first.
    from cdp_stream.kafka.runtime.process import run_worker
    from cdp_stream.partition.memory_budget import MemoryBudget
    from cdp_stream.partition.processor import ProfileProcessor
    from topologies.profiles import create_app

    source = _source(settings, read)
    events, budget = settings.topic("events"), MemoryBudget(settings.memory_for("rows"))
    # With applied definitions, an output may be added at any time.
    with_sinks = "sinks" in topologies and (read is None or bool(read[0].outputs))
    return run_worker(
        settings,
        lambda delivery_settings, partitions, metrics: create_app(
            delivery_settings,
            lambda number: ProfileProcessor(
                source.latest, events, number, budget, source.known, partitions
            ),
            partitions=partitions,
            definitions=source,
            metrics=metrics,
        ),
        companion=_sinks_child(definitions, outputs, flags) if with_sinks else None,
        may_fall_back=("guarantee", "default") in {(s.name, s.source) for s in sources},
        definitions=source,
    )


def _source(settings: Settings, read: tuple[Account, Loaded] | None) -> DefinitionsSource:
    """The definitions of the named files, else those of the topic."""
    from cdp_stream.kafka.definitions.source import AppliedDefinitions, FileDefinitions
    from cdp_stream.partition.definitions import Definitions

    if read is None:
        return AppliedDefinitions(settings)
    account, loaded = read
    version = f"files-{digest_of_files(files_of(loaded))}"
    return FileDefinitions(Definitions(version, 0, account), settings)


def _topologies(only: str | None) -> list[str]:
    named = list(TOPOLOGIES) if only is None else [name.strip() for name in only.split(",")]
    for name in named:
        if name not in TOPOLOGIES:
            raise UsageError(
                f"--only: there is no topology `{name}`", f"there are: {', '.join(TOPOLOGIES)}"
            )
    return named


def _check_outputs(
    account: Account, only: tuple[str, ...], settings: Settings, *, is_child: bool
) -> None:
    """Report what is missing or wrong before anything is started.

    An output with invalid settings is reported, and has a fault when the sinks start; the others
    run.

    Raises:
        UsageError: an output is named that is not defined, or variables are not set or allowed.
    """
    from cdp_stream.sinks.http.secrets import Secrets
    from cdp_stream.sinks.preparation import check_environment, faults_of, selected

    wanted = selected(account.outputs, only)
    secrets = Secrets(os.environ, settings.secret_names)
    check_environment(wanted, account.connections, secrets)
    if not is_child:  # the parent has reported it
        for fault in faults_of(wanted, secrets, settings.outputs_dir):
            click.echo(f"cdp: {fault}", err=True)


def _run_sinks(
    settings: Settings,
    source: DefinitionsSource,
    outputs: tuple[str, ...],
    *,
    is_child: bool,
    may_lack: bool,
) -> int:
    from cdp_stream.sinks.http.secrets import Secrets
    from cdp_stream.sinks.process import run_sinks
    from cdp_stream.sinks.supervisor import SinkJob
    from topologies.sinks import create_sink

    secrets = Secrets(os.environ, settings.secret_names)
    job = SinkJob(settings, create_sink, secrets, outputs, is_child=is_child, may_lack=may_lack)
    return run_sinks(job, source)


def _sinks_child(
    definitions: tuple[str, ...], outputs: tuple[str, ...], flags: dict[str, str | None]
) -> Companion:
    """The same command for the sinks alone; it reads the environment and `cdp.toml` itself."""
    from cdp_stream.sinks.child import ChildMetrics, SinksChild

    command = [sys.executable, "-m", "cdp_stream", "worker", "--only", "sinks", "--sinks-child"]
    for name, values in (("--definitions", definitions), ("--output", outputs)):
        for value in values:
            command += [name, value]
    for name, flag in flags.items():
        if flag is not None and name not in {"metrics_port", "metrics_host"}:
            command += [f"--{name.replace('_', '-')}", flag]
    return SinksChild(command, ChildMetrics(), again=["--sinks-restarted"])


def _check_broker(settings: Settings) -> None:
    """Check that the broker answers before anything is written to disk."""
    from cdp_stream.kafka.clients.admin import check_broker

    asyncio.run(check_broker(settings))


def _make_data_dir(settings: Settings, *, is_child: bool) -> None:
    from cdp_stream.store.data_directory import is_open_to_others, make_private

    directory = settings.data_dir
    try:
        make_private(directory)
        if not is_child and is_open_to_others(directory):
            click.echo(
                f"cdp: {directory} is open to other users, and rows contain personal data; run "
                f"`chmod o-rwx {directory}`",
                err=True,
            )
    except OSError as error:
        raise DiskError(
            f"{settings.data_dir}: cannot be created: {error.strerror}", "choose another --data-dir"
        ) from error
