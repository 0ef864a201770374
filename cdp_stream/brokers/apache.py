"""Starts Apache Kafka on this machine from its jars, for tests of durability and for benchmarks.

Its version is that of ``deploy/kafka/pom.xml``. Maven resolves the jars once into ``.kafka/`` of
the checkout; from then on a Java runtime is enough. One broker in KRaft mode, with its data in a
directory of its own; several that share a cluster id and name each other are a cluster.
"""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from cdp_stream.brokers.subprocess import Child
from cdp_stream.errors import BrokerError
from cdp_stream.kafka.clients.probe import free_port, wait_until_ready

__all__ = ["ApacheKafka", "new_cluster_id", "resolve_jars", "why_unavailable"]

CHECKOUT = Path(__file__).resolve().parents[2]

_MIN_JAVA = 17
_HEAP = "1g"
_BRIEF = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""A JVM that compiles little: a third less CPU until a broker answers."""
_MAVEN_S = 600
_FORMAT_S = 120


def why_unavailable(checkout: Path = CHECKOUT) -> str:
    """Why Apache Kafka cannot be started here, or an empty string when it can be tried.

    It downloads nothing.
    """
    if not _pom(checkout).is_file():
        return "deploy/kafka/pom.xml is not there (this is not a checkout)"
    java = shutil.which("java")
    if java is None:
        return "there is no java"
    version = _java_version(java)
    if version < _MIN_JAVA:
        return f"java is version {version}, not {_MIN_JAVA} or later"
    if not _jars(checkout).is_dir() and shutil.which("mvn") is None:
        return "there is no mvn to fetch its jars"
    return ""


def resolve_jars(checkout: Path = CHECKOUT) -> Path:
    """The directory with the jars, fetched with Maven when it is not there yet.

    Two processes may do this at once: each fetches into a directory of its own, and the first to
    finish gives it its name.

    Raises:
        BrokerError: Java or Maven is missing, or Maven cannot resolve them.
    """
    reason = why_unavailable(checkout)
    if reason:
        raise BrokerError(
            f"Apache Kafka cannot be started: {reason}",
            f"install a Java runtime {_MIN_JAVA} and Maven, or name a running broker",
        )
    jars = _jars(checkout)
    if jars.is_dir():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="fetching-", dir=jars.parent))
    try:
        _copy_dependencies(_pom(checkout), fresh)
        try:
            fresh.rename(jars)
        except OSError:
            if not jars.is_dir():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return jars


class ApacheKafka:
    """One broker from ``start`` to ``close``, or for the length of a ``with`` block.

    It can be stopped, killed and started again in between: same address, same data.

    Args:
        jars: The directory with the jars.
        settings: Further broker settings.
        listeners: Where else it listens, ``host:port`` by the listener's name; the protocol of
            each belongs into the settings.
        layout: Further arguments of the tool that lays out its storage, such as
            ``--add-scram=...`` for users.
        is_brief: It has little to do: its JVM starts at the least cost and does not get fast.

    Attributes:
        settings: Further broker settings. Their values at its first start count, as do those of
            `heap` and `cluster`.
        heap: How large its JVM may get.
        cluster: The cluster's id, its own alone unless it is changed.
        port: Where it listens on 127.0.0.1.
        data: Where its log and its state are.
    """

    def __init__(
        self,
        jars: Path,
        *,
        settings: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
        layout: Sequence[str] = (),
        is_brief: bool = False,
    ) -> None:
        self.port = free_port()
        self._controller_port = free_port()
        self._jars = jars
        self.cluster = new_cluster_id()
        self.heap = _HEAP
        self.settings = dict(settings or {})
        self._listeners = dict(listeners or {})
        self._layout = list(layout)
        self._options = _BRIEF if is_brief else ()
        self._root = Path(tempfile.mkdtemp(prefix="cdp-kafka-"))
        self.data = self._root / "data"
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        """What clients connect to, ``host:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def controller(self) -> str:
        """Where its controller listens, ``host:port``."""
        return f"127.0.0.1:{self._controller_port}"

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._child is not None and self._child.is_alive

    @property
    def pid(self) -> int | None:
        """Its process id, or None when it was not started."""
        return None if self._child is None else self._child.pid

    def start(self, timeout_s: float = 60.0) -> None:
        """Start it and wait until it answers; the first time its storage is laid out before.

        Raises:
            BrokerError: It ends early or does not answer in time. It is not left running then.
        """
        properties = self._root / "server.properties"
        if not self.data.exists():
            properties.write_text(self._properties(), encoding="utf-8")
            self._format(properties)
        log = self._root / "log"
        self._child = Child(
            "Apache Kafka",
            self._java(f"-Xmx{self.heap}", *self._options, "kafka.Kafka", str(properties)),
            log=log,
        )
        try:
            self._child.start(os.environ)
            wait_until_ready(self.bootstrap, timeout_s=timeout_s, is_alive=lambda: self.is_alive)
        except BaseException as error:
            self._child.kill()
            if isinstance(error, BrokerError):
                message = f"{error.message} (its log ends: {self._child.log_tail()})"
                raise BrokerError(message, error.next_step) from error
            raise

    def stop(self) -> None:
        """Shut it down in order; its data stays until ``close``."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """End it as a crash would; its data stays until ``close``."""
        if self._child is not None:
            self._child.kill()

    def restart(self, timeout_s: float = 60.0) -> None:
        """Shut it down in order and start it again with what it holds."""
        self.stop()
        self.start(timeout_s)

    def close(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self._root, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start it."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it and remove its data."""
        self.close()

    def _properties(self) -> str:
        """The file in ``deploy/kafka`` with this broker's addresses, data and settings added."""
        named = {"PLAINTEXT": self.bootstrap, **self._listeners}
        advertised = ",".join(f"{name}://{address}" for name, address in named.items())
        own = {
            "listeners": f"{advertised},CONTROLLER://{self.controller}",
            "advertised.listeners": advertised,
            "controller.quorum.voters": f"1@{self.controller}",
            "log.dirs": str(self.data),
            **self.settings,
        }
        lines = [f"{name}={value}" for name, value in own.items()]
        shared = (CHECKOUT / "deploy/kafka/server.properties").read_text(encoding="utf-8")
        return shared + "\n".join(["", *lines, ""])

    def _format(self, properties: Path) -> None:
        # With "=": an id may begin with a dash.
        self._run_tool(
            "kafka.tools.StorageTool", "format", f"--cluster-id={self.cluster}",
            "-c", str(properties),
            *self._layout,
        )  # fmt: skip

    def _run_tool(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                self._java(*_BRIEF, *arguments), capture_output=True, text=True, timeout=_FORMAT_S,
                check=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            detail = getattr(error, "stderr", None) or str(error)
            raise BrokerError(
                f"Apache Kafka's storage cannot be formatted: {str(detail)[-500:]}",
                "check the Java runtime and the space in the temporary directory",
            ) from error
        return done.stdout

    def _java(self, *arguments: str) -> list[str]:
        options = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{self._jars}/*"]
        return ["java", *options, *arguments]


def new_cluster_id() -> str:
    """An id that no other cluster has."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _pom(checkout: Path) -> Path:
    return checkout / "deploy" / "kafka" / "pom.xml"


def _jars(checkout: Path) -> Path:
    """Named after the pom's content, so that an edited pom is resolved anew."""
    digest = hashlib.sha256(_pom(checkout).read_bytes()).hexdigest()[:12]
    return checkout / ".kafka" / f"jars-{digest}"


def _java_version(java: str) -> int:
    """The major version that ``java -version`` prints, 0 when it prints none."""
    try:
        done = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(\d+)', done.stderr + done.stdout)
    return int(found.group(1)) if found else 0


def _copy_dependencies(pom: Path, into: Path) -> None:
    command = [
        "mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies",
        f"-DoutputDirectory={into}",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_MAVEN_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BrokerError(f"Maven cannot be run: {error}", "check `mvn -v`") from error
    if done.returncode or not any(into.glob("kafka_*.jar")):
        detail = next((line for line in done.stdout.split("\n") if "[ERROR]" in line), done.stderr)
        raise BrokerError(
            f"Maven cannot resolve Apache Kafka's jars: {detail[:500]}",
            "check the network and Maven's settings, then try again",
        )
