"""A connector's topic, open."""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta

from workflow_ray.errors import StoreError, StoreUnavailable
from workflow_ray.ports import Clock, SourceReader
from workflow_ray.records import ConnectorEvent
from workflow_ray_adapters.kafka import offsets as logs
from workflow_ray_adapters.kafka.address import Address
from workflow_ray_adapters.kafka.cluster import Cluster
from workflow_ray_adapters.kafka.reader import Reader
from workflow_ray_adapters.kafka.wire import Message

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def opened(address: Address, topic: str, *, clock: Clock, latest: bool) -> AsyncGenerator[SourceReader]:
    """Raises StoreUnavailable, AccessDenied."""
    async with Cluster(address).open() as cluster:
        with closing(Reader(cluster, clock)) as reader:
            yield KafkaSourceReader(cluster, reader, topic, latest=latest)


class KafkaSourceReader:
    """ports.SourceReader. Reads what transactions have committed only."""

    def __init__(self, cluster: Cluster, reader: Reader, topic: str, *, latest: bool) -> None:
        self._cluster, self._reader, self._topic, self._latest = cluster, reader, topic, latest

    @property
    def source_id(self) -> str:
        return f"kafka:{self._cluster.cluster_id}/{self._topic}"

    async def starts(self) -> dict[int, int]:
        await self._cluster.learn([self._topic])
        partitions = self._cluster.partitions(self._topic)
        if not partitions:
            raise StoreUnavailable(self._cluster.where, f"topic {self._topic} isn't there. Make it, or name another in the KafkaSource.")
        return await (logs.ends if self._latest else logs.firsts)(self._cluster, self._topic, partitions)

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        return await logs.ends(self._cluster, self._topic, partitions)

    async def receive(self, offsets: Mapping[int, int], *, limit: int, wait: float) -> list[ConnectorEvent]:
        found = await self._reader.receive(self._topic, offsets, self._event, limit=limit, wait=wait)
        for partition, end in found.lost.items():
            why = f"partition {partition} of topic {self._topic} ends at offset {end}, and was read up to {offsets[partition]} before."
            raise StoreError(self._cluster.where, f"{why} It lost messages, or was made again: begin again from `starts`.")
        return found.items

    async def lag(self, offsets: Mapping[int, int]) -> int:
        return await logs.lag(self._cluster, self._topic, offsets)

    def _event(self, message: Message) -> ConnectorEvent:
        return ConnectorEvent(
            id=f"{self._topic}-{message.partition}-{message.offset}",
            key=_text(message.key),
            data=message.value or b"",
            headers={name: _text(value) for name, value in message.headers},
            partition=message.partition,
            offset=message.offset,
            at=EPOCH + timedelta(milliseconds=max(message.timestamp, 0)),
        )


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
