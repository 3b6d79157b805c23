"""What is said to a broker, and its answers, in types of our own.

Of aiokafka its connections and messages are used, not its consumer and producer: those keep a cursor of their own for each partition,
and let partitions wait for each other.
"""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, cast

import msgspec
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateTopicsRequest
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from workflow_ray_adapters.kafka.address import Server

T = TypeVar("T")
Lane: TypeAlias = tuple[str, int]  # a topic, as the brokers call it, and its partition
Headers: TypeAlias = Sequence[tuple[str, bytes | None]]

EARLIEST, LATEST = -2, -1  # in place of a time, in the question which offset was the first at that time
MAX_BATCH = 900_000  # bytes; brokers take 1 MiB by default


class Fault(NamedTuple):
    """Why a broker refuses something."""

    code: int
    why: str
    retriable: bool

    @classmethod
    def of(cls, code: int) -> "Fault | None":
        """None: there is none."""
        if code == 0:
            return None
        error = for_code(code)
        return cls(code, f"{error.message} ({code})", error.retriable)


# The codes of some.
OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC, TOPIC_EXISTS, DUPLICATE = 1, 3, 36, 46
TOPIC_DENIED, CLUSTER_DENIED = 29, 31
OUT_OF_ORDER, STALE_EPOCH, UNKNOWN_PRODUCER = 45, 47, 59
DENIED = frozenset({TOPIC_DENIED, CLUSTER_DENIED})
PRODUCER_SPOILED = frozenset({OUT_OF_ORDER, STALE_EPOCH, UNKNOWN_PRODUCER})  # another producer may go on


class Identity(NamedTuple):
    """Of a producer, as brokers tell repeats by it."""

    producer_id: int
    epoch: int


class Message(msgspec.Struct, frozen=True):
    """As sent, or as read; then with its place."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int = -1
    offset: int = -1
    timestamp: int = -1  # milliseconds since 1970


@dataclass(frozen=True)
class Call(Generic[T]):
    """A question to a broker, and how its answer is read."""

    request: Any
    read: Callable[[Any], T]
    wait: float = 0.0  # seconds that the broker is asked to wait for something to answer


# --- where things are ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Metadata:
    cluster_id: str
    controller: int
    servers: Mapping[int, Server]
    topics: Mapping[str, Mapping[int, int | None]]  # of each that is there: a partition's leader
    faults: Mapping[str, Fault]  # of each that isn't, or can't be seen


def metadata(topics: Collection[str]) -> Call[Metadata]:
    def read(answer: Any) -> Metadata:
        found, faults = dict[str, dict[int, int | None]](), dict[str, Fault]()
        for code, topic, _, partitions in answer.topics:
            if fault := Fault.of(code):
                faults[topic] = fault
            else:
                found[topic] = {partition: leader if leader >= 0 else None for _, partition, leader, *_ in partitions}
        servers = {node: Server(host, port) for node, host, port, _ in answer.brokers}
        return Metadata(answer.cluster_id or "", answer.controller_id, servers, found, faults)

    return Call(MetadataRequest(list(topics), allow_auto_topic_creation=False), read)


def create_topics(topics: Mapping[str, int], *, replication: int, seconds: float, try_only: bool) -> Call[dict[str, tuple[Fault, str]]]:
    """topics: each with its number of partitions. replication: -1 for the brokers' default. Answers those that can't be made."""

    def read(answer: Any) -> dict[str, tuple[Fault, str]]:
        return {topic: (fault, text or fault.why) for topic, code, text in answer.topic_errors if (fault := Fault.of(code))}

    wanted: Any = [(topic, partitions, replication, [], []) for topic, partitions in topics.items()]
    return Call(CreateTopicsRequest(wanted, int(seconds * 1000), try_only), read, wait=seconds)


def offsets_at(topic: str, partitions: Collection[int], when: int) -> Call[dict[int, int | Fault]]:
    """when: EARLIEST or LATEST: the first offset that is there, or the one that the next message gets."""

    def read(answer: Any) -> dict[int, int | Fault]:
        ((_, found),) = answer.topics
        return {partition: Fault.of(code) or offset for partition, code, _, offset in found}

    return Call(OffsetRequest(-1, READ_COMMITTED, [(topic, [(partition, when) for partition in partitions])]), read)


# --- producing -----------------------------------------------------------------------------------


def new_identity() -> Call[Identity | Fault]:
    def read(answer: Any) -> Identity | Fault:
        return Fault.of(answer.error_code) or Identity(answer.producer_id, answer.producer_epoch)

    no_transactions: Any = None
    return Call(InitProducerIdRequest(no_transactions, 2**31 - 1), read)


def batch_of(messages: Sequence[Message], identity: Identity, sequence: int) -> tuple[bytes, int]:
    """As many of the messages as fit, the first one in any case, and how many they are. sequence: the first one's."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=identity.producer_id,
        producer_epoch=identity.epoch,
        base_sequence=sequence,
        batch_size=MAX_BATCH,
    )
    count = 0
    for message in messages:
        if builder.append(count, None, message.key, message.value, list(message.headers)) is None:
            break
        count += 1
    return bytes(builder.build()), count


def produce(batches: Mapping[Lane, bytes], *, seconds: float) -> Call[dict[Lane, Fault | None]]:
    """Answered once every replica in sync has the batches, or `seconds` are over."""

    def read(answer: Any) -> dict[Lane, Fault | None]:
        return {(topic, partition): Fault.of(code) for topic, found in answer.topics for partition, code, *_ in found}

    request = ProduceRequest(transactional_id=None, required_acks=-1, timeout=int(seconds * 1000), topics=_by_topic(batches))
    return Call(request, read)


# --- fetching ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chunk:
    """Messages of a partition, as fetched from an offset on. Whoever has it reads it for himself."""

    lane: Lane
    offset: int
    buffer: bytes
    aborted: Any


class Records(PartitionRecords):  # type: ignore[misc]  # to mypy the base is Any
    """The messages of a chunk, one after the other. None of a transaction that was given up. Looks one ahead."""

    def __init__(self, chunk: Chunk) -> None:
        lane, memory = TopicPartition(*chunk.lane), MemoryRecords(chunk.buffer)
        super().__init__(lane, memory, chunk.aborted, chunk.offset, None, None, True, READ_COMMITTED)
        self._next = self._following()

    @property
    def end(self) -> int | None:
        """Once no message is left, the offset to fetch from."""
        return int(self.next_fetch_offset) if self._next is None else None

    def take(self) -> Message | None:
        """The next one."""
        message, self._next = self._next, self._following()
        return message

    def _following(self) -> Message | None:
        found: Any = next(self, None)
        return cast("Message | None", found)

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        """A Message, in place of aiokafka's own, which holds more than is asked for."""
        return Message(record.key, record.value, record.headers, tp.partition, record.offset, record.timestamp)


def fetch(
    topic: str, offsets: Mapping[int, int], *, wait: float, partition_bytes: int, total_bytes: int
) -> Call[dict[int, Chunk | Fault | None]]:
    """Of each partition what it has; None: nothing yet. Where not all fits, the partitions named first come first."""

    def found(partition: int, code: int, parts: Sequence[Any], aborted_at: int) -> Chunk | Fault | None:
        if fault := Fault.of(code):
            return fault
        buffer = parts[-1]
        return Chunk((topic, partition), offsets[partition], buffer, parts[aborted_at]) if buffer else None

    def read(answer: Any) -> dict[int, Chunk | Fault | None]:
        aborted_at = -3 if answer.API_VERSION >= 11 else -2
        return {
            partition: found(partition, code, parts, aborted_at)
            for _, partitions in answer.topics
            for partition, code, *parts in partitions
        }

    asked = [(partition, offset, partition_bytes) for partition, offset in offsets.items()]
    request = FetchRequest(
        max_wait_time=int(wait * 1000), min_bytes=1, max_bytes=total_bytes, isolation_level=READ_COMMITTED, topics=[(topic, asked)]
    )
    return Call(request, read, wait=wait)


# --- consumer groups -----------------------------------------------------------------------------


def coordinator(group: str) -> Call[int | Fault]:
    """The broker that keeps the group's offsets."""

    def read(answer: Any) -> int | Fault:
        return Fault.of(answer.error_code) or int(answer.coordinator_id)

    return Call(FindCoordinatorRequest(group, 0), read)


def commit(group: str, offsets: Mapping[Lane, int]) -> Call[dict[Lane, Fault]]:
    """For a group without members. Answers those that weren't taken."""

    def read(answer: Any) -> dict[Lane, Fault]:
        return {(topic, partition): fault for topic, found in answer.topics for partition, code in found if (fault := Fault.of(code))}

    wanted = [(topic, [(partition, offset, "") for partition, offset in found]) for topic, found in _by_topic(offsets)]
    return Call(OffsetCommitRequest(group, -1, "", -1, wanted), read)


def _by_topic(values: Mapping[Lane, T]) -> list[tuple[str, list[tuple[int, T]]]]:
    found = defaultdict[str, list[tuple[int, T]]](list)
    for (topic, partition), value in values.items():
        found[topic].append((partition, value))
    return list(found.items())
