"""Events on Kafka's topics."""

import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from workflow_ray.errors import SendFailed
from workflow_ray.ports import Clock
from workflow_ray.records import Arrivals, Event, Position, Received, Topic
from workflow_ray_adapters.kafka import codec
from workflow_ray_adapters.kafka.address import Address
from workflow_ray_adapters.kafka.cluster import Cluster
from workflow_ray_adapters.kafka.codec import Message, Record
from workflow_ray_adapters.kafka.mirror import Mirror
from workflow_ray_adapters.kafka.producer import Producer
from workflow_ray_adapters.kafka.reader import Reader

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_streamer(address: Address, clock: Clock) -> AsyncGenerator["KafkaStreamer"]:
    """Open the topics.

    Raises StoreUnavailable, AccessDenied.
    """
    async with Cluster(address).open() as cluster:
        reader, mirror = Reader(cluster, clock), Mirror(cluster.clients)
        async with Producer(cluster).running() as producer, reader.running(), mirror.running():
            yield KafkaStreamer(address, cluster, producer, reader, mirror)


class KafkaStreamer:
    """An EventStreamer and PositionMirror."""

    def __init__(
        self, address: Address, cluster: Cluster, producer: Producer, reader: Reader, mirror: Mirror
    ) -> None:
        self.reader = reader
        self._address = address
        self._name = address.name
        self._cluster = cluster
        self._producer = producer
        self._mirror = mirror
        self._strange = set[Topic]()
        """Topics that other programs write to."""

    @property
    def stream_id(self) -> str:
        return f"kafka:{self._cluster.topics.cluster_id}/{self._address.prefix}"

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        await self._cluster.provide(
            {self._name(topic): partitions for topic, partitions in topics.items()}
        )

    async def send(self, events: Sequence[Event]) -> None:
        named = dict[tuple[str, int], tuple[Topic, int]]()
        messages = defaultdict[tuple[str, int], list[Message]](list)
        for event in events:
            at = self._name(event.topic), event.partition
            named[at] = event.topic, event.partition
            messages[at].append(codec.encode(event))
        if failed := await self._producer.send(messages):
            why = " ".join(dict.fromkeys(failed.values()))
            raise SendFailed(self._cluster.where, why, [named[at] for at in failed])

    async def receive(
        self, topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Arrivals:
        def decode(record: Record) -> Received | None:
            try:
                return Received(event=codec.decode(topic, record), offset=record.offset)
            except ValueError as error:
                self._pass_over(topic, record, error)
                return None

        found = await self.reader.receive(
            self._name(topic), offsets, decode, reader=reader, limit=limit, wait=wait
        )
        return Arrivals(events=tuple(found.items), read=found.read, lost=found.lost)

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return await self._cluster.offsets.lag(self._name(topic), offsets)

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        return await self._cluster.offsets.ends(self._name(topic), partitions)

    def mirror(self, topic: Topic, positions: Sequence[Position]) -> None:
        shown = (
            (self._name(position.group), position.partition, position.offset)
            for position in positions
        )
        self._mirror.note(self._name(topic), shown)

    def _pass_over(self, topic: Topic, record: Record, error: ValueError) -> None:
        if topic not in self._strange:
            text = (
                "%s: topic %s, partition %d, offset %d: passing over what is not an event (%s), and"
                " others like it: who else writes there?"
            )
            log.warning(
                text, self._cluster.where, self._name(topic), record.partition, record.offset, error
            )
        self._strange.add(topic)
