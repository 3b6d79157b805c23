"""Kafka: one node that is broker and controller, or another broker beside it."""

import struct
from collections.abc import Mapping
from pathlib import Path

from tests.servers.kafka_jars import installed, java, libraries
from tests.servers.ports import HOST, exchange
from tests.servers.server import Server

CLUSTER = "d29ya2Zsb3ctcmF5LXRzdA"
"""16 bytes in base64. All brokers have the same, so that they can join each other."""
METADATA = struct.pack(">ihhihi", 14, 3, 1, 7, -1, 0)
"""A request for the metadata of the cluster without topics, version 1."""
LOGGING = """\
rootLogger.level=INFO
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c{1}: %m%n
"""
SETTINGS = {
    "auto.create.topics.enable": "false",
    "background.threads": "4",
    "broker.heartbeat.interval.ms": "500",
    # Otherwise a start after SIGKILL waits ten seconds for the end of the previous session.
    "broker.session.timeout.ms": "2000",
    "controller.listener.names": "CONTROLLER",
    "default.replication.factor": "1",
    "group.initial.rebalance.delay.ms": "0",
    "inter.broker.listener.name": "PLAINTEXT",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "min.insync.replicas": "1",
    "num.io.threads": "4",
    "num.network.threads": "2",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
}


class Kafka(Server):
    """A broker that creates no topics by itself.

    Args:
        settings: Properties of the broker.
        joins: Be another broker in the cluster of this one, in a root of its own.
        node: Its number, from 2.
        archive: Where to write an archive of the loaded classes when it stops.
    """

    name = "kafka"
    port_count = 2

    def __init__(
        self,
        root: Path,
        settings: Mapping[str, str] | None = None,
        *,
        lasting: bool = False,
        joins: "Kafka | None" = None,
        node: int = 1,
        archive: Path | None = None,
    ) -> None:
        super().__init__(root, settings, lasting=lasting)
        self._leader = joins or self
        self._node = node
        self._archive = archive

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        return f"kafka://{self.address}"

    @property
    def controller(self) -> str:
        """Host and port of the controller."""
        return f"{HOST}:{self._state.ports[1]}"

    @classmethod
    def install(cls) -> None:
        installed(_archive_classes)

    def _make(self) -> None:
        self._configure()
        self._run(
            *self._java(
                "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(self._properties)
            )
        )

    def _command(self) -> list[str]:
        self._configure()
        return self._java("kafka.Kafka", str(self._properties))

    def _ready(self) -> bool:
        """Whether it is registered: it lists all brokers up to itself."""
        _, _, brokers = struct.unpack(">iii", exchange(self.port, METADATA, 12))
        return bool(brokers >= self._node)

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _configure(self) -> None:
        alone = self._leader is self
        listeners = f"PLAINTEXT://{self.address}" + (
            f",CONTROLLER://{self.controller}" if alone else ""
        )
        properties = {
            **SETTINGS,
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.quorum.voters": f"1@{self._leader.controller}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "listeners": listeners,
            "log.dirs": str(self.data),
            "node.id": str(self._node),
            "process.roles": "broker,controller" if alone else "broker",
            **self.settings,
        }
        self._properties.write_text(
            "".join(f"{name}={value}\n" for name, value in properties.items())
        )
        self._logging.write_text(LOGGING)

    @property
    def _logging(self) -> Path:
        return self.folder / "log4j2.properties"

    def _java(self, *arguments: str) -> list[str]:
        archive = [] if self._archive is None else [f"-XX:ArchiveClassesAtExit={self._archive}"]
        return java(
            *archive,
            f"-Dlog4j2.configurationFile={self._logging}",
            "-cp",
            f"{libraries()}/*",
            *arguments,
        )


def _archive_classes(root: Path, archive: Path) -> None:
    """Start and stop a broker that writes an archive of its loaded classes.

    The archive saves half the CPU time of each later start.
    """
    with Kafka(root, archive=archive):
        pass
