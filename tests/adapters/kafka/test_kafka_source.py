"""A topic that others write, as the source of a connector."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.adapters.kafka.others import Others
from tests.servers import Kafka
from workflow_ray.errors import InvalidInput, StoreUnavailable
from workflow_ray.ports import ConnectorSource, SystemClock
from workflow_ray_adapters.kafka import KafkaSource


@pytest.fixture
async def topic(someone: Others) -> str:
    topic = f"carts-{uuid4()}"
    await someone.make(topic, partitions=2)
    return topic


async def test_a_message_has_its_place_as_id_and_the_time_of_its_writing(kafka: Kafka, someone: Others, topic: str) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    await someone.put(topic, 1, b"x", key=b"\xff")
    async with KafkaSource(topic).open(clock=SystemClock(), events=f"{kafka.url}/prefix-of-ours") as source:
        (message,) = await source.receive({0: 0, 1: 0}, limit=10, wait=0)
        assert topic in source.source_id
    assert (message.id, message.key) == (f"{topic}-1-0", "\N{REPLACEMENT CHARACTER}")
    assert before <= message.at <= datetime.now(UTC)


async def test_a_tombstone_has_no_data(kafka: Kafka, someone: Others, topic: str) -> None:
    await someone.put(topic, 0, None, key=b"gone")
    async with KafkaSource(topic, url=kafka.url).open(clock=SystemClock(), events="postgresql://db/shop") as source:
        (message,) = await source.receive({0: 0}, limit=10, wait=0)
    assert (message.key, message.data) == ("gone", b"")


async def test_latest_starts_with_what_comes_from_then_on(kafka: Kafka, someone: Others, topic: str) -> None:
    await someone.put(topic, 0, b"before")
    for named, expected in ((KafkaSource(topic), {0: 0, 1: 0}), (KafkaSource(topic, start="latest"), {0: 1, 1: 0})):
        async with named.open(clock=SystemClock(), events=kafka.url) as source:
            assert await source.starts() == expected


async def test_what_a_transaction_gave_up_is_never_received(kafka: Kafka, someone: Others, topic: str) -> None:
    await someone.put_in_transaction(topic, 0, b"given up", commit=False)
    await someone.put_in_transaction(topic, 0, b"committed", commit=True)
    async with KafkaSource(topic).open(clock=SystemClock(), events=kafka.url) as source:
        async with asyncio.timeout(10):  # control records follow the end of a transaction in a moment
            while not (messages := await source.receive({0: 0}, limit=10, wait=1)):
                pass
        assert [message.data for message in messages] == [b"committed"]
        assert await source.receive({0: messages[0].offset + 1}, limit=10, wait=0) == []


async def test_a_topic_that_is_not_there_is_named(kafka: Kafka) -> None:
    async with KafkaSource("no-such-carts").open(clock=SystemClock(), events=kafka.url) as source:
        with pytest.raises(StoreUnavailable, match="no-such-carts isn't there"):
            await source.starts()


def test_a_source_without_a_url_needs_events_on_kafka() -> None:
    source: ConnectorSource = KafkaSource("carts")
    with pytest.raises(InvalidInput, match=r"KafkaSource\(topic='carts'.*url="):
        source.open(clock=SystemClock(), events="postgresql://db/shop")


def test_a_source_starts_at_one_of_its_ends() -> None:
    with pytest.raises(InvalidInput, match="earliest"):
        KafkaSource("carts", start="newest")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # as who runs no checker
