"""The conformance suites of the Kafka adapter. Its own tests are in tests/adapters/kafka."""

from collections.abc import AsyncIterator, Mapping
from uuid import uuid4

import pytest

from tests.adapters.kafka.others import others
from tests.servers import Kafka
from workflow_ray.ports import EventStreamer, SourceReader
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import (
    Another,
    ConnectorSourceConformance,
    EventStreamerConformance,
    Put,
)
from workflow_ray_adapters.kafka import KafkaAdapter, KafkaSource


class TestKafkaStreamer(EventStreamerConformance):
    @pytest.fixture
    def url(self, kafka: Kafka) -> str:
        return f"{kafka.url}/{uuid4()}"

    @pytest.fixture
    async def store(self, url: str, clock: FakeClock) -> AsyncIterator[EventStreamer]:
        async with KafkaAdapter().open_events(url, clock=clock) as store:
            yield store

    @pytest.fixture
    def another(self, url: str, clock: FakeClock) -> Another:
        return lambda: KafkaAdapter().open_events(url, clock=clock)


class TestKafkaSource(ConnectorSourceConformance):
    @pytest.fixture
    async def topic(self, kafka: Kafka) -> str:
        topic = f"carts-{uuid4()}"
        async with others(kafka.address) as someone:
            await someone.make(topic, partitions=2)
        return topic

    @pytest.fixture
    async def source(
        self, kafka: Kafka, topic: str, clock: FakeClock
    ) -> AsyncIterator[SourceReader]:
        async with KafkaSource(topic).open(clock=clock, events=kafka.url) as source:
            yield source

    @pytest.fixture
    async def put(self, kafka: Kafka, topic: str) -> AsyncIterator[Put]:
        async with others(kafka.address) as someone:

            async def put(
                partition: int,
                data: bytes,
                *,
                key: str = "",
                headers: Mapping[str, str] | None = None,
            ) -> None:
                sent = [(name, value.encode()) for name, value in (headers or {}).items()]
                await someone.put(topic, partition, data, key=key.encode() or None, headers=sent)

            yield put
