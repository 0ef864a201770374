"""``cdp broker``: the embedded broker in the foreground, for development."""

import signal
import sys
import time
from collections.abc import Iterable

import click

from cdp_stream.brokers.embedded import EmbeddedBroker
from cdp_stream.cli.options import with_default
from cdp_stream.errors import BrokerError, UsageError
from cdp_stream.kafka.clients.probe import parse_address

__all__ = ["command", "run_broker", "topics_from"]

_WATCH_S = 1.0


@click.command(
    "broker",
    help="Run the embedded Kafka-compatible broker until Ctrl-C or SIGTERM. It keeps everything in "
    "memory, and is for development only.\n\n"
    "Example: cdp broker --listen 127.0.0.1:9092 --topics cdp.events:4",
)
@with_default("--listen", default="127.0.0.1:9092", metavar="HOST:PORT", help="Where to listen.")
@click.option(
    "--topics",
    multiple=True,
    metavar="NAME:PARTITIONS,...",
    help="Topics to create at start; may be repeated.",
)
def command(listen: str, topics: tuple[str, ...]) -> None:
    """Parse the flags and run the broker."""
    host, port = parse_address(listen)
    run_broker(host, port, topics_from(topics))


def topics_from(texts: Iterable[str]) -> dict[str, int]:
    """Partition counts by topic, from ``name:partitions`` texts, each of them a list with commas.

    Raises:
        UsageError: A part is not a name and a positive number, or a topic is named twice.
    """
    topics: dict[str, int] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, _, count = part.rpartition(":")
        if not name or not count.isascii() or not count.isdigit() or not int(count):
            raise UsageError(
                f"--topics: '{part}' is not NAME:PARTITIONS", "write it like cdp.events:4"
            )
        if name in topics:
            raise UsageError(f"--topics: '{name}' is named twice", "name each topic once")
        topics[name] = int(count)
    return topics


def run_broker(host: str, port: int, topics: dict[str, int]) -> None:
    """Run the embedded broker until SIGINT or SIGTERM; print one line when it is ready.

    Raises:
        BrokerError: It cannot be started, or it exited by itself.
    """
    # SIGINT too: a shell without job control starts its background jobs with it ignored.
    stops = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, signal.default_int_handler) for number in stops}
    try:
        with EmbeddedBroker(host, port, topics=topics) as broker:
            made = ", ".join(f"{name}:{count}" for name, count in topics.items()) or "none"
            click.echo(f"ready on {broker.bootstrap}, topics {made}; stop it with Ctrl-C")
            sys.stdout.flush()
            while broker.is_alive:
                time.sleep(_WATCH_S)  # a signal ends it at once: its handler raises
        raise BrokerError("the embedded broker exited by itself", "start it again")
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
