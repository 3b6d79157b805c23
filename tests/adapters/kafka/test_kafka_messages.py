"""How other programs see our events, and how we read their messages."""

import asyncio
import logging

import msgspec
import pytest

from tests.adapters.kafka.events import ORDERS, event, everything, runs, sent
from tests.adapters.kafka.others import Others
from workflow_ray.ports import SystemClock
from workflow_ray.testing.conformance.runs import receive
from workflow_ray_adapters.kafka import KafkaSource
from workflow_ray_adapters.kafka.streamer import KafkaStreamer


async def test_other_tools_find_the_run_as_key_json_as_value_and_the_trace_in_headers(
    streamer: KafkaStreamer, url: str, prefix: str
) -> None:
    await streamer.prepare({ORDERS: 1})
    one = msgspec.structs.replace(event(), headers={"traceparent": "00-abc-01"})
    await streamer.send([one])
    async with KafkaSource(f"{prefix}.orders-1").open(
        clock=SystemClock(), events=url
    ) as others_see:
        (message,) = await others_see.receive({0: 0}, limit=1, wait=0)
    assert message.key == one.run_id
    assert msgspec.json.decode(message.data) == {"run_id": one.run_id, "version": 1, "status": 1}
    assert message.headers == {"traceparent": "00-abc-01"}


async def test_a_message_that_is_not_an_event_is_skipped_and_logged_once(
    streamer: KafkaStreamer, someone: Others, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    await streamer.prepare({ORDERS: 2})
    first = await sent(streamer, 0)
    for strange in (b"not ours", b"{}", None, b'{"run_id": 5, "version": "x", "status": 1}'):
        await someone.put(
            f"{prefix}.orders-1", 0, strange, key=b"a key", headers=[("binary", b"\xff")]
        )
    second = await sent(streamer, 0)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            received = await receive(streamer, ORDERS, {0: 0, 1: 0}, limit=10, wait=0)
            assert runs(received) == first + second
            assert [item.offset for item in received] == [0, 5]
    (record,) = caplog.records
    assert "partition 0, offset 1: passing over what is not an event" in record.getMessage()


async def test_a_wait_continues_after_a_message_that_is_not_an_event(
    streamer: KafkaStreamer, someone: Others, prefix: str
) -> None:
    await streamer.prepare({ORDERS: 1})
    receiving = asyncio.create_task(receive(streamer, ORDERS, {0: 0}, limit=10, wait=30))
    await someone.put(f"{prefix}.orders-1", 0, b"not ours")
    (run,) = await sent(streamer, 0)
    assert runs(await receiving) == [run]
    (after,) = await sent(streamer, 0)
    assert runs(await receive(streamer, ORDERS, {0: 2}, limit=10, wait=30)) == [after]


async def test_a_batch_larger_than_brokers_take_is_sent_in_parts(streamer: KafkaStreamer) -> None:
    await streamer.prepare({ORDERS: 1})
    large = [msgspec.structs.replace(event(), headers={"state": "x" * 100_000}) for _ in range(25)]
    await streamer.send(large)
    assert await everything(streamer, 1) == [one.run_id for one in large]


async def test_a_batch_of_events_is_one_request(
    streamer: KafkaStreamer, caplog: pytest.LogCaptureFixture
) -> None:
    await streamer.prepare({ORDERS: 4})
    with caplog.at_level(logging.DEBUG, logger="aiokafka.conn"):
        await sent(streamer, *(number % 4 for number in range(1000)))
        assert (
            sum(
                "ProduceRequest" in record.getMessage()
                for record in caplog.records
                if "Request to" in record.getMessage()
            )
            == 1
        )
        caplog.clear()
        assert (
            len(await receive(streamer, ORDERS, dict.fromkeys(range(4), 0), limit=1000, wait=30))
            == 1000
        )
        assert (
            sum(
                "FetchRequest" in record.getMessage()
                for record in caplog.records
                if "Request to" in record.getMessage()
            )
            <= 2
        )
