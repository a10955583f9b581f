"""Settings of one Kafka node: its place in the cluster, and whom its listener lets in."""

from __future__ import annotations

import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from devkit.ports import free_ports

if TYPE_CHECKING:
    from devkit.tls import Authority

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
# A broker that was killed may register again only when its old session has run out, hence 2 s.
_SETTINGS = """\
process.roles=broker,controller
node.id={number}
controller.quorum.bootstrap.servers={quorum}
listeners=CLIENTS://127.0.0.1:{clients},INTERNAL://127.0.0.1:{internal},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENTS://127.0.0.1:{clients},INTERNAL://127.0.0.1:{internal}
listener.security.protocol.map=CLIENTS:{protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=INTERNAL
log.dirs={data}/log
auto.create.topics.enable=false
num.partitions=1
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.num.partitions=1
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=500
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
"""
_TLS = """\
listener.name.clients.ssl.keystore.type=PEM
listener.name.clients.ssl.keystore.location={keystore}
listener.name.clients.ssl.truststore.type=PEM
listener.name.clients.ssl.truststore.location={truststore}
listener.name.clients.ssl.client.auth={certificates}
"""
_LOGIN = "org.apache.kafka.common.security"
_SASL = f"""\
listener.name.clients.sasl.enabled.mechanisms={",".join(MECHANISMS)}
listener.name.clients.plain.sasl.jaas.config={_LOGIN}.plain.PlainLoginModule required {{users}};
listener.name.clients.scram-sha-256.sasl.jaas.config={_LOGIN}.scram.ScramLoginModule required;
listener.name.clients.scram-sha-512.sasl.jaas.config={_LOGIN}.scram.ScramLoginModule required;
"""


def random_id() -> str:
    """An id as Kafka writes them: 16 random bytes; it may not begin with a hyphen."""
    return urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode().replace("-", "A")


@dataclass(frozen=True)
class Secured:
    """A TLS listener; ``users`` (name to password) make it ask for one by SASL as well.

    ``names`` are what its certificate is for. ``certificates``: a client must have one too.
    """

    authority: Authority
    users: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ("localhost", "127.0.0.1")
    certificates: bool = False

    @property
    def protocol(self) -> str:
        """Kafka's name for it."""
        return "SASL_SSL" if self.users else "SSL"

    def properties(self) -> str:
        """Lines of server.properties; issues the certificate."""
        text = _TLS.format(
            keystore=self.authority.issue(*self.names).both_file,
            truststore=self.authority.file,
            certificates="required" if self.certificates else "none",
        )
        users = " ".join(f'user_{name}="{word}"' for name, word in self.users.items())
        return text + (_SASL.format(users=users) if users else "")

    def scram(self) -> list[str]:
        """Arguments of StorageTool that make the users known to SCRAM."""
        return [
            argument
            for mechanism in MECHANISMS[1:]
            for name, word in self.users.items()
            for argument in ("--add-scram", f"{mechanism}=[name={name},password={word}]")
        ]


@dataclass(frozen=True)
class NodeConfig:
    """One node, broker and controller at once, with its loopback ports.

    ``directory`` is the id of its log directory, by which the first controllers know each other.
    """

    number: int
    clients: int
    internal: int
    controller: int
    directory: str = field(default_factory=random_id)
    secured: Secured | None = None

    @classmethod
    def free(
        cls, number: int = 1, *, clients: int | None = None, secured: Secured | None = None
    ) -> NodeConfig:
        """A node on ports that are free now; clients may be given theirs."""
        first, internal, controller = free_ports(3)
        return cls(number, clients or first, internal, controller, secured=secured)

    @property
    def quorum_address(self) -> str:
        """Where the other controllers find it."""
        return f"127.0.0.1:{self.controller}"

    @property
    def voter(self) -> str:
        """What StorageTool calls it among the first controllers."""
        return f"{self.number}@{self.quorum_address}:{self.directory}"

    def properties(self, data_dir: Path, cluster: tuple[NodeConfig, ...]) -> str:
        """The text of server.properties of this node in this cluster."""
        text = _SETTINGS.format(
            number=self.number,
            quorum=",".join(node.quorum_address for node in cluster),
            clients=self.clients,
            internal=self.internal,
            controller=self.controller,
            protocol="PLAINTEXT" if self.secured is None else self.secured.protocol,
            data=data_dir,
            replicas=len(cluster),
            in_sync=len(cluster) // 2 + 1,
        )
        return text if self.secured is None else text + self.secured.properties()
