"""aiokafka: an idempotent producer and a consumer without a group."""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.bare.driver import Call, Repeat
from workflow_ray_adapters.kafka.producer import Producer
from workflow_ray_adapters.kafka.reader import Reader


class BareKafka:
    """The bare driver. Records messages sent, and how many are read from which offsets.

    It does not record every call to aiokafka: the adapter makes more of them when its own calls
    overlap, or when brokers fail.
    """

    @contextmanager
    def recording(self) -> Generator[list[Call]]:
        calls: list[Call] = []
        send, receive = Producer.send, Reader.receive

        async def sent(self: Any, messages: Any) -> Any:
            calls.append(Call(id(self), "send", (messages,)))
            return await send(self, messages)

        async def received(
            self: Any, topic: str, offsets: Any, *arguments: Any, **options: Any
        ) -> Any:
            found = await receive(self, topic, offsets, *arguments, **options)
            calls.append(Call(id(self), "receive", (topic, dict(offsets), len(found.items))))
            return found

        with patch.object(Producer, "send", sent), patch.object(Reader, "receive", received):
            yield calls

    @asynccontextmanager
    async def repeating(
        self, url: str, twin: str, so_far: Sequence[Call]
    ) -> AsyncGenerator[Repeat]:
        """Use the same topics: sending the same messages twice does no harm there."""
        servers = urlsplit(url).netloc
        producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True, acks="all")
        consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
        async with producer, consumer:

            async def repeat(calls: Sequence[Call]) -> None:
                for call in calls:
                    await (
                        _send(producer, *call.arguments)
                        if call.method == "send"
                        else _receive(consumer, *call.arguments)
                    )

            yield repeat


async def _send(producer: AIOKafkaProducer, messages: Any) -> None:
    waiting = [
        await producer.send(
            topic, message.value, message.key, partition=partition, headers=message.headers
        )
        for (topic, partition), batch in messages.items()
        for message in batch
    ]
    await asyncio.gather(*waiting)


async def _receive(
    consumer: AIOKafkaConsumer, topic: str, offsets: dict[int, int], count: int
) -> None:
    partitions = [TopicPartition(topic, partition) for partition in offsets]
    if consumer.assignment() != set(partitions):
        consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, offsets[partition.partition])
    while count > 0:
        found = await consumer.getmany(timeout_ms=10_000, max_records=count)
        count -= sum(map(len, found.values()))
