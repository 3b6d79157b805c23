"""Other programs on the brokers, with aiokafka's own clients."""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.errors import GroupCoordinatorNotAvailableError


class Others:
    """Other programs on one cluster. They use the brokers' names of topics and groups."""

    def __init__(
        self, servers: str, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer
    ) -> None:
        self._servers = servers
        self._admin = admin
        self._producer = producer

    async def put(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        await self._producer.send_and_wait(
            topic, value, key=key, partition=partition, headers=list(headers)
        )

    async def put_in_transaction(
        self, topic: str, partition: int, value: bytes, *, commit: bool
    ) -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=self._servers, transactional_id=topic
        ) as producer:
            await producer.begin_transaction()
            await producer.send_and_wait(topic, value, partition=partition)
            await (producer.commit_transaction() if commit else producer.abort_transaction())

    async def make(
        self, topic: str, partitions: int, *, replicas: Mapping[int, Sequence[int]] | None = None
    ) -> None:
        """Create a topic.

        Args:
            topic: Its name.
            replicas: For each partition the brokers that hold it, the leader first.
        """
        if replicas is None:
            await self._admin.create_topics([NewTopic(topic, partitions, 1)])
        else:
            assigned = {partition: list(nodes) for partition, nodes in replicas.items()}
            await self._admin.create_topics([NewTopic(topic, -1, -1, replica_assignments=assigned)])

    async def delete(self, topic: str) -> None:
        await self._admin.delete_topics([topic])

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Delete messages below the offsets, as retention does."""
        await self._admin.delete_records(
            {TopicPartition(topic, partition): RecordsToDelete(before_offset=offset)}
        )

    async def committed(self, group: str) -> dict[tuple[str, int], int]:
        try:
            found = await self._admin.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:  # there was no group until a moment ago
            return {}
        return {(at.topic, at.partition): offset.offset for at, offset in found.items()}


@asynccontextmanager
async def others(servers: str) -> AsyncGenerator[Others]:
    """Connect to the servers, each host:port of a broker."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    async with AIOKafkaProducer(bootstrap_servers=servers, max_request_size=2**23) as producer:
        await admin.start()
        try:
            yield Others(servers, admin, producer)
        finally:
            await admin.close()
