"""`cdp worker`: one worker process."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cdp_stream.cli.options import definitions_option, load_plan
from cdp_stream.errors import DiskError, UsageError
from cdp_stream.settings import Settings, load_settings

SETTINGS_FILE = Path("cdp.toml")
TOPOLOGIES = ("profiles", "sinks")


@click.command(
    epilog="Example: cdp worker --definitions audiences.yaml --broker localhost:9092 "
    "--metrics-port 9100"
)
@definitions_option
@click.option(
    "--broker", metavar="HOST:PORT,...", help="Kafka's addresses.  [default: localhost:9092]"
)
@click.option(
    "--prefix", metavar="NAME", help="What topics and consumer groups begin with.  [default: cdp]"
)
@click.option(
    "--data-dir", metavar="DIR", help="Local files; created if missing.  [default: cdp-data]"
)
@click.option(
    "--metrics-port", metavar="PORT", help="Serve /metrics, /healthz and /readyz on this port."
)
@click.option(
    "--only",
    metavar="NAME,...",
    help="Run only these topologies: profiles.  [default: all there are]",
)
@click.option(
    "--output", "outputs", multiple=True, metavar="ID", help="Run only the sinks of these outputs."
)
@click.option(
    "--guarantee",
    metavar="NAME",
    help="exactly-once or at-least-once.  [default: exactly-once where the broker can]",
)
@click.option(
    "--clock", metavar="wall|stream", help="What moves time when nothing arrives.  [default: wall]"
)
@click.option(
    "--grace", metavar="DURATION", help="How long a record may be on its way.  [default: 250ms]"
)
@click.option("--store", metavar="NAME", help="Local rows: rocksdb or memory.  [default: rocksdb]")
@click.option(
    "--partitions",
    metavar="N",
    help="Partitions of cdp.events, if it is to be created.  [default: 4]",
)
def command(
    definitions: tuple[str, ...], only: str | None, outputs: tuple[str, ...], **flags: str | None
) -> int:
    """Evaluate profiles from Kafka until SIGTERM; several workers share the partitions."""
    _check_topologies(only, outputs)
    settings, sources = load_settings(flags, os.environ, SETTINGS_FILE)
    plan = load_plan(definitions)
    _make_data_dir(settings)
    # Faust takes a second to import; a mistake in the definitions is told before.
    from cdp_stream.kafka.worker import run_worker
    from cdp_stream.partition.processor import ProfileProcessor
    from cdp_stream.partition.room import RowRoom
    from topologies.profiles import create_app

    events, room = settings.topic("events"), RowRoom(settings.rows_kept)
    return run_worker(
        settings,
        lambda in_force, partitions: create_app(
            in_force,
            lambda number: ProfileProcessor(plan, events, number, room),
            partitions=partitions,
        ),
        outputs=[output.id for output in plan.account.outputs],
        may_fall_back=("guarantee", "default") in {(s.name, s.source) for s in sources},
    )


def _check_topologies(only: str | None, outputs: tuple[str, ...]) -> None:
    named = [name.strip() for name in only.split(",")] if only is not None else ["profiles"]
    for name in named:
        if name not in TOPOLOGIES:
            raise UsageError(f"--only: there is no topology `{name}`", "this release has: profiles")
        if name == "sinks":
            raise UsageError(
                "--only: sinks do not exist in this release", "leave --only away, or name profiles"
            )
    if outputs:
        raise UsageError("--output: outputs do not exist in this release", "leave the flag away")


def _make_data_dir(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(
            f"{settings.data_dir}: cannot be created: {error.strerror}", "choose another --data-dir"
        ) from error
