"""A cluster: its topics, the ends of their partitions, and the clients that ask for them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from workflow_ray_adapters.kafka.address import Address
from workflow_ray_adapters.kafka.clients import Clients
from workflow_ray_adapters.kafka.offsets import Offsets
from workflow_ray_adapters.kafka.topics import Topics


class Cluster:
    def __init__(self, address: Address) -> None:
        """Prepare the clients.

        Raises InvalidInput: a file of the URL can't be used.
        """
        self.where = address.canonical
        self.clients = Clients(address)
        self.topics = Topics(self.clients, address.replication)
        self.offsets = Offsets(self.clients, self.topics)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["Cluster"]:
        """Find the cluster.

        Raises StoreUnavailable, AccessDenied, within five seconds.
        """
        try:
            await self.topics.open()
            yield self
        finally:
            self.offsets.close()
            self.topics.close()
            await self.clients.close()

    async def provide(self, wanted: Mapping[str, int]) -> None:
        """Create the missing topics, and wait until each of their partitions can be used.

        Args:
            wanted: The number of partitions of each topic.

        Raises:
            TopicMismatch: A topic exists with another number, and none was created.
            StoreUnavailable: They are not ready in time.
            StoreError: Brokers refuse a topic.
            AccessDenied: Brokers refuse the user.
        """
        for topic in await self.topics.provide(wanted):
            # A leader may be the last broker to know that it leads.
            await self.offsets.ends(topic, self.topics.partitions(topic))
