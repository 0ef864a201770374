"""`make chaos`: many schedules, one after the other, on one broker.

A schedule that has failed leaves its worker logs and data, and is run again with its seed:
``make chaos SCHEDULES=1 SEED=<seed>``.
"""

import asyncio
import contextlib
import io
import logging
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import click

from tests.chaos.run import chaos_kafka, fresh, run_schedule
from tests.chaos.schedule import Schedule, draw_schedule


@click.command()
@click.option("--schedules", type=click.IntRange(1), default=100, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True,
              help="Of the first schedule; the next have the next numbers.")  # fmt: skip
@click.option("--show", is_flag=True, help="Print the schedules, and run nothing.")
def main(schedules: int, seed: int, show: bool) -> None:
    """Run seeded schedules of crashes on Apache Kafka, and compare each with `cdp replay`."""
    drawn = [draw_schedule(seed + number) for number in range(schedules)]
    if show:
        for schedule in drawn:
            click.echo(f"seed {schedule.seed}, stores {', '.join(schedule.stores)}")
            click.echo("".join(f"  {step}\n" for step in schedule.steps))
        return
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # brokers are meant to go
    click.echo(f"{schedules} schedules from seed {seed}")
    # As an exception it ends workers and the broker on its way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    failed: list[int] = []
    root = Path(tempfile.mkdtemp(prefix="cdp-chaos-"))
    try:
        run_all(drawn, root, failed)
    finally:
        if not failed:
            shutil.rmtree(root)
    seeds = f"; failed seeds: {', '.join(map(str, failed))}" if failed else ""
    click.echo(f"{schedules - len(failed)} of {schedules} schedules passed{seeds}")
    if failed:
        sys.exit(1)


def run_all(drawn: list[Schedule], root: Path, failed: list[int]) -> None:
    """Run schedules one after the other; seeds of those that fail are added to ``failed``."""
    with chaos_kafka() as kafka:
        for schedule in drawn:
            directory = fresh(root / str(schedule.seed))
            # What workers logged is in their files, which stay where a schedule has failed.
            with contextlib.redirect_stdout(io.StringIO()):
                outcome = asyncio.run(run_schedule(schedule, kafka, directory))
            click.echo(str(outcome))
            if outcome.differences:
                failed.append(schedule.seed)
                click.echo(f"  its logs: {directory}")
            else:
                shutil.rmtree(directory)


if __name__ == "__main__":
    main()
