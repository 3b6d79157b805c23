"""Events on Kafka's topics."""

import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, closing

from workflow_ray.errors import SendFailed
from workflow_ray.ports import Clock
from workflow_ray.records import Arrivals, Event, Position, Received, Topic
from workflow_ray_adapters.kafka import codec
from workflow_ray_adapters.kafka import offsets as logs
from workflow_ray_adapters.kafka.address import Address
from workflow_ray_adapters.kafka.cluster import Cluster
from workflow_ray_adapters.kafka.mirror import Mirror
from workflow_ray_adapters.kafka.producer import Producer
from workflow_ray_adapters.kafka.reader import Reader
from workflow_ray_adapters.kafka.topics import provide
from workflow_ray_adapters.kafka.wire import Lane, Message

log = logging.getLogger(__name__)


@asynccontextmanager
async def opened(address: Address, clock: Clock) -> AsyncGenerator["KafkaStreamer"]:
    """Raises StoreUnavailable, AccessDenied."""
    async with Cluster(address).open() as cluster:
        mirror = Mirror(cluster)
        with closing(Producer(cluster)) as producer, closing(Reader(cluster, clock)) as reader:
            async with mirror.running():
                yield KafkaStreamer(cluster, producer, reader, mirror)


class KafkaStreamer:
    """ports.EventStreamer and ports.PositionMirror."""

    def __init__(self, cluster: Cluster, producer: Producer, reader: Reader, mirror: Mirror) -> None:
        self._cluster, self._producer, self._reader, self._mirror = cluster, producer, reader, mirror
        self._name = cluster.address.name
        self._strange = set[Topic]()  # topics that others write to

    @property
    def stream_id(self) -> str:
        return f"kafka:{self._cluster.cluster_id}/{self._cluster.address.prefix}"

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        await provide(self._cluster, {self._name(topic): partitions for topic, partitions in topics.items()})

    async def send(self, events: Sequence[Event]) -> None:
        lanes, messages = dict[Lane, tuple[Topic, int]](), defaultdict[Lane, list[Message]](list)
        for event in events:
            lane = self._name(event.topic), event.partition
            lanes[lane] = event.topic, event.partition
            messages[lane].append(codec.encode(event))
        if failed := await self._producer.send(messages):
            why = " ".join(dict.fromkeys(failed.values()))
            raise SendFailed(self._cluster.where, why, [lanes[lane] for lane in failed])

    async def receive(self, topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float) -> Arrivals:
        def decode(message: Message) -> Received | None:
            try:
                return Received(event=codec.decode(topic, message), offset=message.offset)
            except ValueError as error:
                self._pass_over(topic, message, error)
                return None

        found = await self._reader.receive(self._name(topic), offsets, decode, limit=limit, wait=wait)
        return Arrivals(events=tuple(found.items), read=found.read, lost=found.lost)

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return await logs.lag(self._cluster, self._name(topic), offsets)

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        return await logs.ends(self._cluster, self._name(topic), partitions)

    def mirror(self, topic: Topic, positions: Sequence[Position]) -> None:
        shown = ((self._name(position.group), position.partition, position.offset) for position in positions)
        self._mirror.note(self._name(topic), shown)

    def _pass_over(self, topic: Topic, message: Message, error: ValueError) -> None:
        if topic not in self._strange:
            text = "%s: topic %s, partition %d, offset %d: passing over what is no event (%s), and others like it: who else writes there?"
            log.warning(text, self._cluster.where, self._name(topic), message.partition, message.offset, error)
        self._strange.add(topic)
