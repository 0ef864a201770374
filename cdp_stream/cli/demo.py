"""``cdp demo``: the product at work in one command."""

from __future__ import annotations

import signal
import time
from types import FrameType

import click
from rich.console import Console

from cdp_stream.cli.options import STANDARD, output_to, with_default
from cdp_stream.demo.purchases import example_file, read_purchases, write_batches
from cdp_stream.errors import InputError, counted

_SECONDS = 50.0


@click.command(epilog="Example: cdp demo --seconds 30")
@with_default(
    "--seconds",
    type=click.FloatRange(min=0),
    default=_SECONDS,
    metavar="N",
    help="Duration of the eighteen months; 0 is as fast as possible.",
)
@click.option(
    "--export",
    metavar="FILE",
    help="Only write the demo's event batches to FILE, for cdp replay and cdp produce.",
)
def command(seconds: float, export: str | None) -> None:
    """Show the product at work on real purchase histories.

    Starts the embedded broker and a worker, publishes eighteen months of purchases, shows the
    audiences and a journey as they change, checks the topics against cdp replay, and stops
    everything.
    """
    if export is not None:
        purchases = read_purchases(example_file("cdnow_sample.txt"))
        with output_to(export) as out:
            write_batches(purchases, out)
        if export != STANDARD:
            click.echo(f"wrote {counted(len(purchases), 'batch')} to {export}")
        return
    # A shell without job control starts its background jobs with SIGINT ignored.
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: _interrupt}
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        _run(seconds)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _run(seconds: float) -> None:
    # Kafka's clients are loaded here, so that `cdp demo --help` answers at once.
    from cdp_stream.demo.run import run_demo
    from cdp_stream.demo.screen import LiveScreen, PlainScreen, Screen

    out = Console()
    screen: Screen = PlainScreen(out, Console(stderr=True), time.monotonic)
    if out.is_terminal:
        screen = LiveScreen(out, time.monotonic)
    try:
        verdict = run_demo(seconds, screen)
    except KeyboardInterrupt:
        screen.close()
        screen.report("stopped")
        raise
    finally:
        screen.close()
    if verdict.difference is not None:
        raise InputError(
            f"the topics do not equal cdp replay: {verdict.difference}",
            "please report it, with the load of the machine at that time",
        )
    again = (
        f" ({verdict.repeated:,} came twice, as the guarantee allows)" if verdict.repeated else ""
    )
    out.print(
        f"checked: {counted(verdict.changes, 'membership change')} of "
        f"{counted(verdict.profiles, 'profile')} equal "
        f"cdp replay, record for record{again};\ncdp.membership-state holds the "
        f"{verdict.members:,} memberships that are left. Everything is stopped.",
        highlight=False,
        soft_wrap=True,
    )


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM as Ctrl-C, whose handlers stop everything first."""
    signal.raise_signal(signal.SIGINT)
