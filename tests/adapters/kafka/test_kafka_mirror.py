"""Positions are shown to Kafka's own tools."""

import asyncio
from typing import Any

import pytest

from tests.adapters.kafka.events import ORDERS
from tests.adapters.kafka.others import Others
from workflow_ray.ports import PositionMirror, SystemClock
from workflow_ray.records import Position
from workflow_ray_adapters.kafka.address import parse
from workflow_ray_adapters.kafka.mirror import Mirror
from workflow_ray_adapters.kafka.streamer import KafkaStreamer, open_streamer

GROUP = "orders-1-consumer"


async def shown(someone: Others, prefix: str, expected: dict[int, int]) -> None:
    wanted = {(f"{prefix}.orders-1", partition): offset for partition, offset in expected.items()}
    async with asyncio.timeout(20):
        while await someone.committed(f"{prefix}.{GROUP}") != wanted:
            await asyncio.sleep(0.1)


async def test_positions_are_shown_as_offsets_of_a_group_and_the_newest_wins(
    streamer: KafkaStreamer, someone: Others, prefix: str
) -> None:
    assert isinstance(streamer, PositionMirror)
    await streamer.prepare({ORDERS: 3})
    streamer.mirror(ORDERS, [Position(GROUP, 0, 5), Position(GROUP, 2, 7)])
    streamer.mirror(ORDERS, [Position(GROUP, 0, 6)])
    await shown(someone, prefix, {0: 6, 2: 7})
    streamer.mirror(ORDERS, [Position(GROUP, 1, 1), Position(GROUP, 2, 8)])
    await shown(someone, prefix, {0: 6, 1: 1, 2: 8})


async def test_the_last_positions_are_shown_when_the_streamer_closes(
    someone: Others, url: str, prefix: str
) -> None:
    async with open_streamer(parse(url), SystemClock()) as streamer:
        await streamer.prepare({ORDERS: 1})
        streamer.mirror(ORDERS, [Position(GROUP, 0, 1)])
        await shown(someone, prefix, {0: 1})
        streamer.mirror(ORDERS, [Position(GROUP, 0, 2)])
    await shown(someone, prefix, {0: 2})


async def test_no_unexpected_error_ends_the_mirror(
    streamer: KafkaStreamer,
    someone: Others,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    consumer = Mirror._consumer  # pyright: ignore[reportPrivateUsage]  # the test puts a bug into it
    failures = iter([ZeroDivisionError("a bug")])

    async def failing_once(mirror: Mirror, group: str) -> Any:
        for error in failures:
            raise error
        return await consumer(mirror, group)

    monkeypatch.setattr(Mirror, "_consumer", failing_once)
    await streamer.prepare({ORDERS: 1})
    streamer.mirror(ORDERS, [Position(GROUP, 0, 5)])
    await shown(someone, prefix, {0: 5})
    assert "a bug" in caplog.text
