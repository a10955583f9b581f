"""Three real Kafka brokers as local processes, one KRaft cluster: what one holds, all hold.

Everything is kept three times and acknowledged when two have it, so that one may be away.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devkit.servers.kafka import KafkaServer, kafka_jars, require_java
from devkit.servers.kafka_config import NodeConfig, Secured, random_id
from devkit.stopping import Stopping

NODES = 3


class KafkaCluster(Stopping):
    """Its ``nodes`` can be killed and restarted one by one."""

    def __init__(self, nodes: tuple[KafkaServer, ...]) -> None:
        self.nodes = nodes

    @classmethod
    def start(cls, data_dir: Path, *, secured: Secured | None = None) -> KafkaCluster:
        """Start three nodes in folders of ``data_dir``, which is new, and wait for all.

        Raises:
            ServerUnavailable: no Java 17 or Maven here, or the jars cannot be downloaded.
            RuntimeError: not up in time; with the last log lines.
        """
        require_java()
        jars = kafka_jars()
        configs = tuple(NodeConfig.free(n, secured=secured) for n in range(1, NODES + 1))
        nodes = []
        for config in configs:
            folder = data_dir.resolve() / str(config.number)
            folder.mkdir(parents=True)
            nodes.append(KafkaServer(folder, jars, config, configs))
        cluster = cls(tuple(nodes))
        cluster_id = random_id()
        _all(nodes, lambda node: node.format(cluster_id))
        try:
            _all(nodes, KafkaServer.launch)  # at once: none answers before two are there
        except BaseException:
            cluster.stop()
            raise
        return cluster

    @property
    def bootstrap_servers(self) -> str:
        """Every node's ``host:port``, with commas."""
        return ",".join(node.bootstrap_servers for node in self.nodes)

    @property
    def url(self) -> str:
        """What LIMELIGHT_LOG_URL has to be."""
        scheme = self.nodes[0].url.partition("://")[0]
        return f"{scheme}://{self.bootstrap_servers}"

    def stop(self) -> None:
        """Shut all down: in order while there are two, the last one without waiting for them."""
        first, *others = self.nodes
        _all(others, KafkaServer.stop)
        first.kill()
        first.stop()


def _all(nodes: list[KafkaServer], work: Callable[[KafkaServer], None]) -> None:
    """For each at once. Raises the first error when all have ended."""
    with ThreadPoolExecutor(len(nodes)) as threads:
        for done in [threads.submit(work, node) for node in nodes]:
            done.result()
