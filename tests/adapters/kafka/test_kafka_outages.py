"""Brokers that crash, hang or are away, and partitions without a leader.

Nothing is lost, nothing hangs, and no partition delays another.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.adapters.kafka.events import ORDERS, event, everything, runs, sent
from tests.adapters.kafka.others import others
from tests.servers import Kafka
from workflow_ray.errors import SendFailed, StoreUnavailable
from workflow_ray.ports import SystemClock, persist
from workflow_ray.records import RunId
from workflow_ray.testing.conformance.runs import receive
from workflow_ray_adapters.kafka import KafkaAdapter
from workflow_ray_adapters.kafka.address import parse
from workflow_ray_adapters.kafka.streamer import KafkaStreamer, open_streamer

pytestmark = pytest.mark.timeout(180)  # brokers start many times

PARTITIONS = 4
TIMEOUT = 2.0  # seconds, as the URLs of these tests say
BOUND = 3 * TIMEOUT  # in which every call that does not wait must end


@pytest.fixture
def broker(server_folder: Path) -> Iterator[Kafka]:
    with Kafka(server_folder / "one") as broker:
        yield broker


@pytest.fixture
async def streamer(broker: Kafka) -> AsyncIterator[KafkaStreamer]:
    async with open_streamer(parse(f"{broker.url}?timeout={TIMEOUT}"), SystemClock()) as streamer:
        await streamer.prepare({ORDERS: PARTITIONS})
        yield streamer


async def published(streamer: KafkaStreamer, count: int) -> list[RunId]:
    """Send events one after the other, each until it is stored, as a publisher does."""
    found = list[RunId]()
    for number in range(count):
        one = event(number % PARTITIONS)
        await persist(partial(streamer.send, [one]), SystemClock(), "test")
        found.append(one.run_id)
    return found


async def consumed(streamer: KafkaStreamer, count: int) -> list[list[RunId]]:
    """Read until `count` runs were found. Return those of each partition in order, once each."""
    offsets, found = dict.fromkeys(range(PARTITIONS), 0), [list[RunId]() for _ in range(PARTITIONS)]
    while sum(map(len, found)) < count:
        for item in await persist(
            lambda: receive(streamer, ORDERS, offsets, limit=10, wait=5), SystemClock(), "test"
        ):
            offsets[item.event.partition] = item.offset + 1
            if item.event.run_id not in found[item.event.partition]:
                found[item.event.partition].append(item.event.run_id)
    return found


async def test_a_stream_survives_crashes_of_its_broker_in_order_and_without_loss(
    broker: Kafka, streamer: KafkaStreamer
) -> None:
    count = 600
    async with asyncio.timeout(100), asyncio.TaskGroup() as tasks:
        sending, receiving = (
            tasks.create_task(published(streamer, count)),
            tasks.create_task(consumed(streamer, count)),
        )
        for _ in range(2):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)
    assert receiving.result() == [
        sending.result()[partition::PARTITIONS] for partition in range(PARTITIONS)
    ]


async def test_calls_to_a_broker_that_is_away_end_soon_and_succeed_once_it_is_back(
    broker: Kafka, streamer: KafkaStreamer
) -> None:
    before = await sent(streamer, 0)
    await asyncio.to_thread(broker.kill)
    await all_fail(streamer)
    await asyncio.to_thread(broker.start)
    after = await published(streamer, 1)
    assert (await consumed(streamer, 2))[0] == before + after


async def test_calls_to_a_broker_that_hangs_end_soon_and_succeed_once_it_continues(
    broker: Kafka, streamer: KafkaStreamer
) -> None:
    before = await sent(streamer, 0)
    broker.freeze()
    try:
        await all_fail(streamer)
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(asyncio.to_thread(KafkaAdapter().create, broker.url), 6)
    finally:
        broker.thaw()
    after = await published(streamer, 1)
    found = await everything(streamer, PARTITIONS)
    # events that were given up may have arrived too
    assert [run for run in found if run in before + after] == before + after


async def all_fail(streamer: KafkaStreamer) -> None:
    began = time.monotonic()
    with pytest.raises(SendFailed) as failed:
        await sent(streamer, 0, 1)
    assert sorted(failed.value.topic_partitions) == [(ORDERS, 0), (ORDERS, 1)]
    for call in (
        receive(streamer, ORDERS, {0: 0, 1: 0}, limit=1, wait=1),
        streamer.lag(ORDERS, {0: 0}),
        streamer.ends(ORDERS, [0]),
    ):
        with pytest.raises(StoreUnavailable):
            await call
    with pytest.raises(StoreUnavailable):
        await streamer.prepare({ORDERS: PARTITIONS})
    assert time.monotonic() - began < 5 * BOUND


class TestABrokerAmongOthers:
    """The first broker leads partition 0 and the second leads partition 1, without replicas."""

    @pytest.fixture
    def second(self, broker: Kafka, server_folder: Path) -> Iterator[Kafka]:
        with Kafka(server_folder / "two", joins=broker, node=2) as second:
            yield second

    @pytest.fixture
    async def streamer(self, broker: Kafka, second: Kafka) -> AsyncIterator[KafkaStreamer]:
        async with others(broker.address) as someone:
            await someone.make(ORDERS, 2, replicas={0: [1], 1: [2]})
        async with open_streamer(
            parse(f"{broker.url}?timeout={TIMEOUT}"), SystemClock()
        ) as streamer:
            await streamer.prepare({ORDERS: 2})
            yield streamer

    async def test_a_partition_without_a_leader_delays_no_other(
        self, second: Kafka, streamer: KafkaStreamer
    ) -> None:
        (first,) = await sent(streamer, 1)
        await asyncio.to_thread(second.kill)
        found = await the_other_goes_on(streamer, [])
        async with asyncio.timeout(BOUND):
            while "has no leader" not in await why_partition_1_fails(streamer):
                pass
        began = time.monotonic()
        await the_other_goes_on(streamer, found)
        assert time.monotonic() - began < TIMEOUT, "what is known to have no leader fails at once"
        await asyncio.to_thread(second.start)
        async with asyncio.timeout(BOUND):
            assert runs(
                await persist(
                    lambda: receive(streamer, ORDERS, {1: 0}, limit=1, wait=5),
                    SystemClock(),
                    "test",
                )
            ) == [first]
        (later,) = await sent(streamer, 1)  # although earlier batches were given up
        offsets, found = {1: 0}, list[RunId]()
        while later not in found:
            found += runs(await receive(streamer, ORDERS, offsets, limit=1, wait=5))
            offsets[1] += 1

    async def test_a_partition_that_can_not_be_read_is_logged_once_and_again_when_it_is_read(
        self, second: Kafka, streamer: KafkaStreamer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING, logger="workflow_ray_adapters.kafka.reader")
        offsets = {0: 0, 1: 0}

        async def read_until(said: str) -> None:
            async with asyncio.timeout(30):
                while not any(said in line for line in said_of(caplog)):
                    await sent(streamer, 0)
                    offsets.update(
                        (
                            await streamer.receive(ORDERS, offsets, reader="test", limit=10, wait=5)
                        ).read
                    )

        await sent(streamer, 0, 1)
        await streamer.receive(ORDERS, offsets, reader="test", limit=10, wait=5)
        await asyncio.to_thread(second.kill)
        await read_until("partition 1 of topic orders-1")
        for _ in range(3):
            await sent(streamer, 0)
            offsets.update(
                (await streamer.receive(ORDERS, offsets, reader="test", limit=10, wait=5)).read
            )
        await asyncio.to_thread(second.start)
        await read_until("partition 1 of topic orders-1 is read again")
        assert ["The others are read meanwhile" in line for line in said_of(caplog)] == [
            True,
            False,
        ]

    # aiokafka leaves connections unclosed that a server that hangs has not answered
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    async def test_a_partition_whose_leader_hangs_delays_no_other(
        self, second: Kafka, streamer: KafkaStreamer
    ) -> None:
        await sent(streamer, 1)
        second.freeze()
        try:
            await the_other_goes_on(streamer, [])
        finally:
            second.thaw()


async def the_other_goes_on(streamer: KafkaStreamer, found: list[RunId]) -> list[RunId]:
    """Check that partition 0 can be sent to and read.

    Its events are stored before the call that sent them gives up on those of partition 1.
    """
    one, other = event(0), event(1)
    sending = asyncio.create_task(streamer.send([other, one]))
    began = time.monotonic()
    received = await receive(streamer, ORDERS, {0: len(found), 1: 0}, limit=10, wait=30)
    assert runs(item for item in received if item.event.partition == 0) == [one.run_id]
    assert time.monotonic() - began < TIMEOUT / 2
    with pytest.raises(SendFailed) as failed:
        await sending
    assert failed.value.topic_partitions == [(ORDERS, 1)]
    assert time.monotonic() - began < TIMEOUT, "the others are in, and have more to come"
    return [*found, one.run_id]


def said_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the adapter has logged about partitions that it can't read."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "workflow_ray_adapters.kafka.reader"
    ]


async def why_partition_1_fails(streamer: KafkaStreamer) -> str:
    with pytest.raises(StoreUnavailable) as error:
        await receive(streamer, ORDERS, {1: 1}, limit=1, wait=0.1)
    return str(error.value)
