"""Only `prepare` creates topics, with the partitions of the workflow."""

import asyncio

import pytest

from tests.adapters.kafka.events import ORDERS, event, everything, sent
from tests.adapters.kafka.others import Others
from workflow_ray.errors import SendFailed, StoreError, StoreUnavailable, TopicMismatch
from workflow_ray.ports import SystemClock
from workflow_ray.records import Topic
from workflow_ray.testing.conformance.runs import receive
from workflow_ray_adapters.kafka.address import parse
from workflow_ray_adapters.kafka.streamer import KafkaStreamer, open_streamer


async def test_many_callers_may_prepare_the_same_topics_concurrently(url: str) -> None:
    async def prepared(partitions: int) -> None:
        async with open_streamer(parse(url), SystemClock()) as streamer:
            await streamer.prepare({ORDERS: partitions, Topic("orders-2"): 2})

    await asyncio.gather(*(prepared(5) for _ in range(8)))
    with pytest.raises(TopicMismatch):
        await prepared(4)


async def test_a_mismatch_names_both_partition_counts_and_what_to_do(
    streamer: KafkaStreamer, someone: Others, prefix: str
) -> None:
    await someone.make(f"{prefix}.orders-1", partitions=3)
    with pytest.raises(
        TopicMismatch,
        match=rf"topic {prefix}.orders-1 has 3 partitions, and 16 are needed. .*prefix",
    ):
        await streamer.prepare({Topic("orders-2"): 16, ORDERS: 16})
    with pytest.raises(StoreUnavailable, match="orders-2 isn't there"):
        await streamer.ends(Topic("orders-2"), [0])


async def test_a_name_that_brokers_refuse_is_reported_with_their_reason(
    streamer: KafkaStreamer,
) -> None:
    with pytest.raises(StoreError, match=r"topic .*orders 1 can't be made: .*invalid"):
        await streamer.prepare({Topic("orders 1"): 1})


async def test_more_replicas_than_brokers_are_refused(url: str) -> None:
    async with open_streamer(parse(f"{url}?replication=3"), SystemClock()) as streamer:
        with pytest.raises(StoreError, match="replication factor"):
            await streamer.prepare({ORDERS: 1})


async def test_a_missing_topic_fails_alone_and_is_not_created(
    streamer: KafkaStreamer,
) -> None:
    missing = Topic("orders-9")
    await streamer.prepare({ORDERS: 2})
    with pytest.raises(SendFailed, match="orders-9 isn't there") as failed:
        await streamer.send([event(1, topic=missing), event(0), event(0, topic=missing)])
    assert sorted(failed.value.topic_partitions) == [(missing, 0), (missing, 1)]
    assert len(await everything(streamer, 2)) == 1
    with pytest.raises(StoreUnavailable, match="isn't there"):
        await receive(streamer, missing, {0: 0}, limit=1, wait=0)


async def test_a_missing_partition_fails_alone(streamer: KafkaStreamer) -> None:
    await streamer.prepare({ORDERS: 2})
    with pytest.raises(SendFailed, match="partition 2 of topic") as failed:
        await sent(streamer, 0, 2)
    assert failed.value.topic_partitions == [(ORDERS, 2)]
