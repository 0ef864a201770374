"""``cdp apply``: applies definition files to every worker that follows the topic."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console

from cdp_stream.cli.applying import Planned, applying_options, as_json, as_text, planned
from cdp_stream.cli.options import Duration, files_of, with_default
from cdp_stream.core.plan.build import build_plan
from cdp_stream.errors import InputError, UsageError, counted

if TYPE_CHECKING:
    from cdp_stream.kafka.definitions.in_force import Progress

__all__ = ["command"]

EXIT_DECLINED = 1


@click.command(
    "apply",
    help="Show what changes, ask for confirmation, and apply it: workers without --definitions "
    "begin the rollout at once. The files are the whole account: what is not in them is "
    "removed.\n\nExample: cdp apply definitions/ --broker localhost:9092",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--wait", is_flag=True, help="Return once it is in force in every partition, with history."
)
@with_default(
    "--timeout",
    type=Duration(),
    default="10m",
    metavar="DURATION",
    help="How long to wait at most; then exit 3.",
)
@applying_options
def command(
    files: tuple[str, ...],
    yes: bool,
    wait: bool,
    timeout: int,
    as_json_: bool,
    count_members: bool,
    **flags: str | None,
) -> int:
    """Apply the files; return the exit code."""
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask on", "read the output of `cdp plan`, then apply with --yes"
        )
    plan = planned(files, count_members=count_members, **flags)
    click.echo(as_json(plan) if as_json_ else as_text(plan))
    if plan.changes and not yes and not click.confirm("\nApply these changes?", err=as_json_):
        click.echo("nothing was applied", err=True)
        return EXIT_DECLINED
    asyncio.run(_put_in_force(plan, timeout / 1000 if wait else None, err=as_json_))
    return 0


async def _put_in_force(plan: Planned, wait_s: float | None, *, err: bool) -> None:
    """Apply what changes, and wait for it if `wait_s` is given; without changes, wait for the
    version that is already applied.
    """
    from cdp_stream.kafka.definitions.in_force import Rollout

    rollout = Rollout(plan.settings, {})
    if plan.changes:
        if wait_s is not None:
            rollout = await Rollout.begin(plan.settings)
        version = await _apply(plan)
        click.echo(f"applied version {version}", err=err)
    else:
        version = plan.version
    if wait_s is None or not version:
        return
    assert plan.loaded.account is not None
    memories = build_plan(plan.loaded.account).memories
    started = time.monotonic()
    with waiting() as show:
        partitions = await rollout.wait(version, memories, timeout_s=wait_s, progress=show)
    where = counted(partitions, "partition")
    seconds = time.monotonic() - started
    click.echo(f"version {version} is in force in {where}, after {seconds:.1f} s", err=err)


@contextmanager
def waiting() -> Iterator[Progress]:
    """A line on a terminal with the progress of the partitions; none when piped."""
    if not sys.stderr.isatty():
        yield lambda _steps: None
        return
    with Console(stderr=True).status("waiting") as status:
        yield lambda steps: status.update(
            ", ".join(f"{count} {step}" for step, count in Counter(steps.values()).items())
            + f", of {counted(len(steps), 'partition')}"
        )


async def _apply(plan: Planned) -> int:
    from cdp_stream.kafka.definitions.topic import MAX_BYTES, publish
    from cdp_stream.kafka.topics.ensure import ensure_definitions_topic

    # A fenced producer leaves a future whose exception is never retrieved.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    files = files_of(plan.loaded)
    size = sum(len(file.text.encode("utf-8", "surrogatepass")) for file in files)
    if size > MAX_BYTES // 2:
        raise InputError(
            f"the files have {size:,} bytes, and at most {MAX_BYTES // 2:,} can be applied",
            "leave comments out, or share criteria by `audience:`",
        )
    await ensure_definitions_topic(plan.settings)
    return await publish(plan.settings, plan.account_id, files, after=plan.version)
