"""Each reader names its offsets, whatever others do with the same streamer."""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.adapters.kafka.events import ORDERS, event, everything, runs, sent
from tests.adapters.kafka.others import Others
from tests.servers import Kafka
from workflow_ray.errors import StoreError
from workflow_ray.ports import SystemClock
from workflow_ray.records import RunId
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import receive
from workflow_ray_adapters.kafka import codec
from workflow_ray_adapters.kafka.address import parse
from workflow_ray_adapters.kafka.reader import IDLE
from workflow_ray_adapters.kafka.streamer import KafkaStreamer, open_streamer

PARTITIONS = 4


async def test_an_old_holder_and_its_successor_each_get_the_events_from_their_offsets(
    streamer: KafkaStreamer,
) -> None:
    await streamer.prepare({ORDERS: 1})
    events = await sent(streamer, *[0] * 300)

    async def read(first: int, limit: int) -> list[RunId]:
        offset, found = first, list[RunId]()
        while received := await receive(streamer, ORDERS, {0: offset}, limit=limit, wait=0):
            assert [item.offset for item in received] == list(range(offset, offset + len(received)))
            offset += len(received)
            found += runs(received)
        return found

    found = list(await asyncio.gather(read(0, 7), read(0, 7), read(50, 11), read(299, 1)))
    assert found == [events, events, events[50:], events[299:]]


async def test_concurrent_shards_are_each_woken_by_their_own_events(
    streamer: KafkaStreamer,
) -> None:
    await streamer.prepare({ORDERS: PARTITIONS})
    waiting = [
        asyncio.create_task(receive(streamer, ORDERS, {partition: 0}, limit=10, wait=30))
        for partition in range(PARTITIONS)
    ]
    for partition in reversed(range(PARTITIONS)):
        (run,) = await sent(streamer, partition)
        assert runs(await asyncio.wait_for(waiting[partition], 5)) == [run]


async def test_two_readers_that_wait_for_the_same_event_both_get_it(
    streamer: KafkaStreamer,
) -> None:
    await streamer.prepare({ORDERS: 1})
    waiting = [
        asyncio.create_task(receive(streamer, ORDERS, {0: 0}, limit=10, wait=30)) for _ in range(3)
    ]
    await asyncio.sleep(0)
    (run,) = await sent(streamer, 0)
    assert [runs(received) for received in await asyncio.gather(*waiting)] == [[run]] * 3


async def test_a_reader_that_does_not_wait_gets_events_that_another_reader_waits_for(
    streamer: KafkaStreamer,
) -> None:
    await streamer.prepare({ORDERS: 1})
    for offset in range(50):
        waiting = asyncio.create_task(receive(streamer, ORDERS, {0: offset}, limit=10, wait=30))
        await asyncio.sleep(0.002)
        (run,) = await sent(streamer, 0)
        assert runs(await receive(streamer, ORDERS, {0: offset}, limit=10, wait=0)) == [run]
        assert runs(await waiting) == [run]


async def test_a_cancelled_receive_breaks_nothing(streamer: KafkaStreamer) -> None:
    await streamer.prepare({ORDERS: 1})
    for offset in range(5):
        waiting = asyncio.create_task(receive(streamer, ORDERS, {0: offset}, limit=10, wait=30))
        await asyncio.sleep(0.01)
        waiting.cancel()
        (run,) = await sent(streamer, 0)
        assert runs(await receive(streamer, ORDERS, {0: offset}, limit=10, wait=30)) == [run]


async def test_a_reader_of_no_partitions_does_not_wait(streamer: KafkaStreamer) -> None:
    assert await receive(streamer, ORDERS, {}, limit=1, wait=0.01) == []


# --- what is gone -------------------------------------------------------------------------------


async def test_events_gone_below_an_offset_are_noticed_counted_and_logged(
    streamer: KafkaStreamer, someone: Others, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    await streamer.prepare({ORDERS: 2})
    events = await sent(streamer, *[0] * 10, 1)
    await someone.delete_before(f"{prefix}.orders-1", 0, 7)
    with caplog.at_level(logging.ERROR):
        assert runs(await receive(streamer, ORDERS, {0: 2}, limit=100, wait=0)) == events[7:10]
        assert (
            runs(await receive(streamer, ORDERS, {0: 10, 1: 0}, limit=100, wait=0)) == events[10:]
        )
    assert await streamer.lag(ORDERS, {0: 2}) == 3
    (record,) = caplog.records
    assert (
        f"topic {prefix}.orders-1, partition 0: 5 messages from offset 2 on are gone"
        in record.getMessage()
    )


async def test_a_reader_that_waits_where_all_events_are_gone_gets_the_next_one(
    streamer: KafkaStreamer, someone: Others, prefix: str
) -> None:
    await streamer.prepare({ORDERS: 1})
    await sent(streamer, 0, 0, 0)
    await someone.delete_before(f"{prefix}.orders-1", 0, 3)
    receiving = asyncio.create_task(receive(streamer, ORDERS, {0: 1}, limit=100, wait=30))
    (run,) = await sent(streamer, 0)
    assert runs(await receiving) == [run]


async def test_a_topic_that_is_created_again_is_lost_and_continues(
    streamer: KafkaStreamer, someone: Others, prefix: str, url: str
) -> None:
    await streamer.prepare({ORDERS: 1})
    await sent(streamer, 0, 0, 0)
    await someone.delete(f"{prefix}.orders-1")
    async with open_streamer(parse(url), SystemClock()) as later:
        await later.prepare({ORDERS: 1})
        arrivals = await later.receive(ORDERS, {0: 3}, reader="test", limit=1, wait=30)
        assert (arrivals.events, arrivals.lost) == ((), {0: 0})
    (run,) = await sent(streamer, 0)  # its producer knows the earlier topic
    assert await everything(streamer, 1) == [run]


async def test_a_message_of_another_program_at_the_tail_is_skipped(
    streamer: KafkaStreamer, someone: Others, prefix: str
) -> None:
    """So the position of the reader reaches the end of the log, and the message hides nothing."""
    await streamer.prepare({ORDERS: 1})
    await sent(streamer, 0)
    await someone.put(f"{prefix}.orders-1", 0, b"no event")
    offset = 0
    while offset < (await streamer.ends(ORDERS, [0]))[0]:  # pytest's timeout bounds it
        arrivals = await streamer.receive(ORDERS, {0: offset}, reader="test", limit=10, wait=0)
        offset = arrivals.read[0]
    assert await streamer.lag(ORDERS, {0: offset}) == 0


async def test_an_aborted_transaction_at_the_tail_is_skipped(
    streamer: KafkaStreamer, someone: Others, prefix: str
) -> None:
    await streamer.prepare({ORDERS: 1})
    events = await sent(streamer, 0)
    await someone.put_in_transaction(f"{prefix}.orders-1", 0, b"given up", commit=False)
    offset, found = 0, list[RunId]()
    while await streamer.lag(ORDERS, {0: offset}) > 0:  # pytest's timeout bounds it
        arrivals = await streamer.receive(ORDERS, {0: offset}, reader="test", limit=10, wait=0)
        found += runs(arrivals.events)
        offset = arrivals.read[0]
    assert found == events


async def test_a_loss_is_logged_once_however_often_it_is_returned(
    streamer: KafkaStreamer, caplog: pytest.LogCaptureFixture
) -> None:
    await streamer.prepare({ORDERS: 2})
    await sent(streamer, 0, 0, 1)
    with caplog.at_level(logging.ERROR):
        for wait in (0, 30, 0):
            arrivals = await streamer.receive(
                ORDERS, {0: 5, 1: 0}, reader="test", limit=1, wait=wait
            )
            assert arrivals.lost == {0: 2}
        await streamer.receive(ORDERS, {0: 0}, reader="test", limit=1, wait=0)
        (record,) = caplog.records
        assert (
            f"partition 0 of topic {streamer.stream_id.rpartition('/')[2]}.orders-1 ends at"
            " offset 2" in record.getMessage()
        )
        await streamer.receive(ORDERS, {0: 5}, reader="test", limit=1, wait=0)
        assert len(caplog.records) == 2, "another loss"


async def test_messages_that_can_not_be_unpacked_delay_no_other_partition_and_lose_none(
    streamer: KafkaStreamer, kafka: Kafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await streamer.prepare({ORDERS: 2})
    first, other = await sent(streamer, 0, 1)
    zipped = event(0)
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.address, compression_type="gzip"
    ) as producer:
        await producer.send_and_wait(f"{prefix}.orders-1", codec.encode(zipped).value, partition=0)
    with monkeypatch.context() as patched:
        patched.setattr("aiokafka.codec.has_gzip", lambda: False)
        offsets, found = {0: 0, 1: 0}, list[RunId]()
        while len(found) < 2:
            arrivals = await streamer.receive(ORDERS, offsets, reader="test", limit=10, wait=30)
            offsets |= arrivals.read
            found += runs(arrivals.events)
        assert sorted(found) == sorted([first, other])
        with pytest.raises(StoreError, match="cramjam"):
            await streamer.receive(ORDERS, offsets, reader="test", limit=10, wait=30)
    assert runs(await receive(streamer, ORDERS, offsets, limit=10, wait=30)) == [zipped.run_id]


# --- consumers ----------------------------------------------------------------------------------


async def test_a_reader_keeps_its_consumer_and_seeks_only_to_another_offset(
    streamer: KafkaStreamer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sought = list[int]()
    seek = AIOKafkaConsumer.seek

    def noted(self: Any, at: Any, offset: int) -> None:
        sought.append(offset)
        seek(self, at, offset)

    monkeypatch.setattr(AIOKafkaConsumer, "seek", noted)
    await streamer.prepare({ORDERS: 2})
    offsets = {0: 0, 1: 0}
    for _ in range(5):
        events = await sent(streamer, 0, 1)
        found = list[RunId]()
        while len(found) < 2:
            arrivals = await streamer.receive(ORDERS, offsets, reader="one", limit=10, wait=30)
            offsets |= arrivals.read
            found += runs(arrivals.events)
        assert sorted(found) == sorted(events)
    assert (sought, streamer.reader.kept) == ([0, 0], 1)
    await streamer.receive(ORDERS, {**offsets, 1: 2}, reader="one", limit=10, wait=30)
    assert (sought, streamer.reader.kept) == ([0, 0, 2], 1)
    await streamer.receive(ORDERS, {0: 0}, reader="another", limit=10, wait=30)
    assert (sought[3:], streamer.reader.kept) == ([0], 2)


async def test_the_consumer_of_a_reader_without_calls_is_closed(url: str) -> None:
    clock = FakeClock()
    async with open_streamer(parse(url), clock) as streamer:
        await streamer.prepare({ORDERS: 1})
        for reader in ("one", "another"):
            await streamer.receive(ORDERS, {0: 0}, reader=reader, limit=1, wait=0)
        assert streamer.reader.kept == 2
        await clock.advance(timedelta(seconds=IDLE / 2))
        await streamer.receive(ORDERS, {0: 0}, reader="one", limit=1, wait=0)
        await clock.advance(timedelta(seconds=IDLE))
        assert streamer.reader.kept == 1, "one asked again"
        await clock.advance(timedelta(seconds=IDLE))
        assert streamer.reader.kept == 0
        assert await receive(streamer, ORDERS, {0: 0}, limit=1, wait=0) == []
