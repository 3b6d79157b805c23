"""The open topic of a connector."""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import Clock, SourceReader
from workflow_ray.records import ConnectorEvent
from workflow_ray_adapters.kafka.address import Address
from workflow_ray_adapters.kafka.cluster import Cluster
from workflow_ray_adapters.kafka.codec import Record
from workflow_ray_adapters.kafka.reader import Reader

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def open_source(
    address: Address, topic: str, *, clock: Clock, latest: bool
) -> AsyncGenerator[SourceReader]:
    """Open the topic.

    Raises StoreUnavailable, AccessDenied.
    """
    async with Cluster(address).open() as cluster:
        reader = Reader(cluster, clock)
        async with reader.running():
            yield KafkaSourceReader(cluster, reader, topic, clock=clock, latest=latest)


class KafkaSourceReader:
    """A SourceReader. It reads only what transactions have committed."""

    def __init__(
        self, cluster: Cluster, reader: Reader, topic: str, *, clock: Clock, latest: bool
    ) -> None:
        self._cluster = cluster
        self._reader = reader
        self._topic = topic
        self._clock = clock
        self._latest = latest
        self._restarted: dict[int, tuple[int, int]] = {}
        """Partitions that ended below the offset given: that offset, and where to continue instead.
        """

    @property
    def source_id(self) -> str:
        return f"kafka:{self._cluster.topics.cluster_id}/{self._topic}"

    async def starts(self) -> dict[int, int]:
        await self._cluster.topics.learn()
        partitions = self._cluster.topics.partitions(self._topic)
        if not partitions:
            why = f"topic {self._topic} isn't there. Make it, or name another in the KafkaSource."
            raise StoreUnavailable(self._cluster.where, why)
        offsets = self._cluster.offsets
        return await (offsets.ends if self._latest else offsets.firsts)(self._topic, partitions)

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        return await self._cluster.offsets.ends(self._topic, partitions)

    async def receive(
        self, offsets: Mapping[int, int], *, limit: int, wait: float
    ) -> list[ConnectorEvent]:
        """Receive messages, as SourceReader says.

        A partition that lost messages or was created again continues at its first message, and the
        log says so.
        """
        until = self._clock.monotonic() + wait
        while True:
            left = max(until - self._clock.monotonic(), 0.0)
            asked = self._offsets_to_read(offsets)
            found = await self._reader.receive(
                self._topic, asked, self._event, reader="source", limit=limit, wait=left
            )
            if found.lost:
                begins = await self._cluster.offsets.firsts(self._topic, found.lost)
                self._restarted |= {
                    partition: (offsets[partition], begin) for partition, begin in begins.items()
                }
            if found.items or not found.lost:
                return found.items

    async def lag(self, offsets: Mapping[int, int]) -> int:
        return await self._cluster.offsets.lag(self._topic, self._offsets_to_read(offsets))

    def _offsets_to_read(self, offsets: Mapping[int, int]) -> dict[int, int]:
        """Return the offsets to read from.

        A partition that was lost continues elsewhere until the caller names another offset.
        """
        self._restarted = {
            at: (lost, begin)
            for at, (lost, begin) in self._restarted.items()
            if offsets.get(at, lost) == lost
        }
        return {
            at: self._restarted[at][1] if at in self._restarted else offset
            for at, offset in offsets.items()
        }

    def _event(self, record: Record) -> ConnectorEvent:
        return ConnectorEvent(
            id=f"{self._topic}-{record.partition}-{record.offset}",
            key=_text(record.key),
            data=record.value or b"",
            headers={name: _text(value) for name, value in record.headers},
            partition=record.partition,
            offset=record.offset,
            at=EPOCH + timedelta(milliseconds=max(record.timestamp, 0)),
        )


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
