"""A topic of other programs, as the source of a connector."""

import asyncio
import logging
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


async def test_a_message_has_its_place_as_id_and_the_time_of_its_write(
    kafka: Kafka, someone: Others, topic: str
) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    await someone.put(topic, 1, b"x", key=b"\xff")
    async with KafkaSource(topic).open(
        clock=SystemClock(), events=f"{kafka.url}/prefix-of-ours"
    ) as source:
        (message,) = await source.receive({0: 0, 1: 0}, limit=10, wait=0)
        assert topic in source.source_id
    assert (message.id, message.key) == (f"{topic}-1-0", "\N{REPLACEMENT CHARACTER}")
    assert before <= message.at <= datetime.now(UTC)


async def test_a_tombstone_has_no_data(kafka: Kafka, someone: Others, topic: str) -> None:
    await someone.put(topic, 0, None, key=b"gone")
    async with KafkaSource(topic, url=kafka.url).open(
        clock=SystemClock(), events="postgresql://db/shop"
    ) as source:
        (message,) = await source.receive({0: 0}, limit=10, wait=0)
    assert (message.key, message.data) == ("gone", b"")


async def test_latest_starts_with_later_messages(kafka: Kafka, someone: Others, topic: str) -> None:
    await someone.put(topic, 0, b"before")
    for named, expected in (
        (KafkaSource(topic), {0: 0, 1: 0}),
        (KafkaSource(topic, start="latest"), {0: 1, 1: 0}),
    ):
        async with named.open(clock=SystemClock(), events=kafka.url) as source:
            assert await source.starts() == expected


async def test_messages_of_an_aborted_transaction_are_never_received(
    kafka: Kafka, someone: Others, topic: str
) -> None:
    await someone.put_in_transaction(topic, 0, b"given up", commit=False)
    await someone.put_in_transaction(topic, 0, b"committed", commit=True)
    async with KafkaSource(topic).open(clock=SystemClock(), events=kafka.url) as source:
        # the control records of a transaction follow its end after a moment
        async with asyncio.timeout(10):
            while not (messages := await source.receive({0: 0}, limit=10, wait=1)):
                pass
        assert [message.data for message in messages] == [b"committed"]
        assert await source.receive({0: messages[0].offset + 1}, limit=10, wait=0) == []


async def test_a_partition_that_lost_its_tail_continues_from_its_start_and_is_reported(
    kafka: Kafka, someone: Others, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with KafkaSource(topic).open(clock=SystemClock(), events=kafka.url) as source:
        await someone.put(topic, 0, b"again")
        await someone.put(topic, 1, b"other")
        offsets, found = {0: 7, 1: 0}, list[bytes]()
        with caplog.at_level(logging.ERROR):
            for number in range(4):
                messages = await source.receive(offsets, limit=1, wait=30)
                offsets |= {message.partition: message.offset + 1 for message in messages}
                found += [message.data for message in messages]
                if number >= 1:
                    await someone.put(topic, number % 2, b"more")
        assert sorted(found) == [b"again", b"more", b"more", b"other"]
        assert await source.lag(offsets) == 1
        (record,) = (each for each in caplog.records if each.name.startswith("workflow_ray"))
        assert (
            f"partition 0 of topic {topic} ends at offset 1, and was read up to 7"
            in record.getMessage()
        )


async def test_a_partition_that_is_created_again_and_empty_waits_for_messages(
    kafka: Kafka, someone: Others, topic: str
) -> None:
    async with KafkaSource(topic).open(clock=SystemClock(), events=kafka.url) as source:
        for _ in range(2):
            assert await source.receive({0: 3}, limit=1, wait=0.1) == []
        assert await source.lag({0: 3}) == 0
        receiving = asyncio.create_task(source.receive({0: 3}, limit=1, wait=30))
        await someone.put(topic, 0, b"first")
        assert [message.data for message in await receiving] == [b"first"]


async def test_a_missing_topic_is_named(kafka: Kafka) -> None:
    async with KafkaSource("no-such-carts").open(clock=SystemClock(), events=kafka.url) as source:
        with pytest.raises(StoreUnavailable, match="no-such-carts isn't there"):
            await source.starts()


def test_a_source_without_a_url_needs_events_on_kafka() -> None:
    source: ConnectorSource = KafkaSource("carts")
    with pytest.raises(InvalidInput, match=r"KafkaSource\(topic='carts'.*url="):
        source.open(clock=SystemClock(), events="postgresql://db/shop")


def test_a_source_starts_at_the_earliest_or_the_latest() -> None:
    with pytest.raises(InvalidInput, match="earliest"):
        KafkaSource("carts", start="newest")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # as without a type checker
