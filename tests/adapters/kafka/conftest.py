"""Fixtures: a streamer, and other programs on the same brokers."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.adapters.kafka.others import Others, others
from tests.servers import Kafka
from workflow_ray.ports import SystemClock
from workflow_ray_adapters.kafka.address import parse
from workflow_ray_adapters.kafka.streamer import KafkaStreamer, open_streamer


@pytest.fixture
def prefix() -> str:
    return str(uuid4())


@pytest.fixture
def url(kafka: Kafka, prefix: str) -> str:
    """The URL of a prefix of the test's own on the running cluster."""
    return f"{kafka.url}/{prefix}"


@pytest.fixture
async def streamer(url: str) -> AsyncIterator[KafkaStreamer]:
    async with open_streamer(parse(url), SystemClock()) as streamer:
        yield streamer


@pytest.fixture
async def someone(kafka: Kafka) -> AsyncIterator[Others]:
    async with others(kafka.address) as someone:
        yield someone
