"""A cluster: its topics, where their partitions begin and end, and the clients that ask."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from workflow_ray_adapters.kafka.address import Address
from workflow_ray_adapters.kafka.clients import Clients
from workflow_ray_adapters.kafka.offsets import Offsets
from workflow_ray_adapters.kafka.topics import Topics


class Cluster:
    def __init__(self, address: Address) -> None:
        """Raises InvalidInput where a file of the URL cannot be used."""
        self.where = address.canonical
        self.clients = Clients(address)
        self.topics = Topics(self.clients, address.replication)
        self.offsets = Offsets(self.clients, self.topics)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["Cluster"]:
        """Raises StoreUnavailable, AccessDenied, within five seconds."""
        try:
            await self.topics.open()
            yield self
        finally:
            self.offsets.close()
            self.topics.close()
            await self.clients.close()

    async def provide(self, wanted: Mapping[str, int]) -> None:
        """Make those topics that aren't there, and wait until each partition of theirs can be used.

        Args:
            wanted: The number of partitions of each.

        Raises:
            TopicMismatch: One is there with another number, and none was made.
            StoreUnavailable: They aren't ready in time.
            StoreError: Brokers refuse a topic.
            AccessDenied: Brokers refuse the user.
        """
        for topic in await self.topics.provide(wanted):
            # A leader may be the last to know that it is.
            await self.offsets.ends(topic, self.topics.partitions(topic))
