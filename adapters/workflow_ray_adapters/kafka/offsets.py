"""Asks where partitions begin and end."""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from workflow_ray.errors import StoreUnavailable
from workflow_ray_adapters.kafka.clients import Clients
from workflow_ray_adapters.kafka.faults import translate_errors
from workflow_ray_adapters.kafka.topics import Topics


class Offsets:
    """Asks with a consumer that reads nothing.

    On the connection of one that reads, requests would wait behind a fetch that waits for messages.
    """

    def __init__(self, clients: Clients, topics: Topics) -> None:
        self._clients = clients
        self._topics = topics
        self._consumer: Any = None
        self._starting = asyncio.Lock()

    def close(self) -> None:
        if self._consumer is not None:
            self._clients.stop(self._consumer)

    async def firsts(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """Return the first offset of each partition that still has a message.

        Raises StoreUnavailable: a partition's offset is not known.
        """
        return await self._told(topic, partitions, "beginning_offsets")

    async def ends(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """Return the offset that the next message of each partition gets.

        Raises StoreUnavailable: a partition's offset is not known.
        """
        return await self._told(topic, partitions, "end_offsets")

    async def lag(self, topic: str, offsets: Mapping[int, int]) -> int:
        """Return how many messages are at or after the offsets.

        Raises StoreUnavailable: a partition's offset is not known.
        """
        begin, end = await asyncio.gather(self.firsts(topic, offsets), self.ends(topic, offsets))
        return sum(
            max(end[partition] - max(offset, begin[partition]), 0)
            for partition, offset in offsets.items()
        )

    async def _told(self, topic: str, partitions: Collection[int], question: str) -> dict[int, int]:
        if not partitions:
            return {}
        await self._topics.need(topic, partitions)
        consumer = await self._start_once()
        try:
            with translate_errors(self._clients.where):
                async with asyncio.timeout(self._clients.timeout):
                    found = await getattr(consumer, question)(
                        [TopicPartition(topic, partition) for partition in partitions]
                    )
        except StoreUnavailable:
            self._topics.refresh()  # Their leaders may have changed.
            raise
        return {at.partition: offset for at, offset in found.items()}

    async def _start_once(self) -> Any:
        async with self._starting:
            if self._consumer is None:
                self._consumer = await self._clients.start(
                    AIOKafkaConsumer, enable_auto_commit=False, isolation_level="read_committed"
                )
        return self._consumer
