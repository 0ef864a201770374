"""Three brokers of Apache Kafka, two of which may be killed, frozen, and let go on."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from cdp_stream.brokers.apache import ApacheKafka, new_cluster_id, resolve_jars

NODES = (1, 2, 3)
_CONTROLLER = 1
_SETTINGS = {
    # A write is acknowledged by two of three; with one left nothing is, nor does an end move on.
    "min.insync.replicas": "2",
    "default.replication.factor": "3",
    "offsets.topic.replication.factor": "3",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "transaction.state.log.num.partitions": "3",
    "group.min.session.timeout.ms": "1000",
    # A follower hears that its last record is acknowledged with the next one, or after this.
    "replica.fetch.wait.max.ms": "10000",
}
_HEAP = "256m"


class Cluster:
    """Three brokers; the first is the controller too, and has to run.

    Attributes:
        nodes: The brokers by their numbers.
    """

    def __init__(self) -> None:
        jars, cluster = resolve_jars(), new_cluster_id()
        self.nodes = {
            number: ApacheKafka(jars, settings=_SETTINGS | {"node.id": str(number)}, is_brief=True)
            for number in NODES
        }
        voters = f"{_CONTROLLER}@{self.nodes[_CONTROLLER].controller}"
        for number, node in self.nodes.items():
            node.cluster, node.heap = cluster, _HEAP
            node.settings["controller.quorum.voters"] = voters
            if number != _CONTROLLER:
                node.settings |= {
                    "process.roles": "broker",
                    "listeners": f"PLAINTEXT://{node.bootstrap}",
                }

    @property
    def bootstrap(self) -> str:
        """The addresses of all, the first one's first."""
        return ",".join(node.bootstrap for node in self.nodes.values())

    def start(self, *numbers: int) -> None:
        """Start brokers, side by side, and wait until they answer."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda number: self.nodes[number].start(), numbers))

    def kill(self, number: int) -> None:
        """End a broker as a loss of power does, be it frozen or not."""
        self.nodes[number].kill()

    def freeze(self, number: int) -> None:
        """Let a broker do nothing; its connections stay."""
        self._signal(number, signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        """Let it go on."""
        self._signal(number, signal.SIGCONT)

    def heal(self) -> None:
        """Let all of them run."""
        for number, node in self.nodes.items():
            if node.is_alive:
                self.thaw(number)
        self.start(*(number for number, node in self.nodes.items() if not node.is_alive))

    def close(self) -> None:
        """End all, and remove their data."""
        for node in self.nodes.values():
            node.kill()
            node.close()

    def _signal(self, number: int, which: signal.Signals) -> None:
        pid = self.nodes[number].pid
        assert pid is not None
        os.kill(pid, which)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    try:
        cluster.start(*NODES)
        yield cluster
    finally:
        cluster.close()
