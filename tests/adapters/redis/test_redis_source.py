"""Streams of other programs, as the source of a connector."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from tests.adapters.redis.conftest import Driver
from workflow_ray.errors import InvalidInput, StoreError
from workflow_ray.ports import SourceReader, SystemClock
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import ConnectorSourceConformance, Put
from workflow_ray_adapters.redis import RedisStreamSource

STREAMS = ("carts-a", "carts-b")


class TestRedisStreamSource(ConnectorSourceConformance):
    @pytest.fixture
    async def source(self, redis_url: str, clock: FakeClock) -> AsyncIterator[SourceReader]:
        async with RedisStreamSource(*STREAMS).open(clock=clock, events=redis_url) as source:
            yield source

    @pytest.fixture
    def put(self, behind: Driver) -> Put:
        async def put(
            partition: int, data: bytes, *, key: str = "", headers: Mapping[str, str] | None = None
        ) -> None:
            fields = {"data": data, "key": key, **(headers or {})}
            behind.xadd(STREAMS[partition], fields)

        return put


async def test_an_entry_without_the_field_of_the_data_has_its_fields_as_json(
    redis_url: str, behind: Driver
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    entry_id = behind.xadd("carts", {"total": "7", "customer": "ann"})
    source = RedisStreamSource("carts", key="customer")
    async with source.open(clock=SystemClock(), events=redis_url) as reader:
        (event,) = await reader.receive(await reader.starts(), limit=10, wait=0)
    assert json.loads(event.data) == {"total": "7", "customer": "ann"}
    assert (event.key, event.id, event.headers) == ("ann", f"carts-{entry_id}", {})
    assert before <= event.at <= datetime.now(UTC) + timedelta(seconds=1)


async def test_entries_of_one_millisecond_are_all_read(redis_url: str, behind: Driver) -> None:
    for number in range(50):
        behind.xadd("carts", {"data": str(number)}, id=f"1700000000000-{number}")
    behind.xadd("carts", {"data": "50"}, id="1700000000001-0")
    async with RedisStreamSource("carts").open(clock=SystemClock(), events=redis_url) as reader:
        offset, seen = 0, list[bytes]()
        while events := await reader.receive({0: offset}, limit=7, wait=0):
            seen += [event.data for event in events]
            offset = events[-1].offset + 1
        behind.xadd("carts", {"data": "51"}, id="1700000000001-1")
        (last,) = await reader.receive({0: offset}, limit=7, wait=5)
    assert seen == [str(number).encode() for number in range(51)]
    assert last.data == b"51"


async def test_a_trimmed_stream_goes_on_with_its_first_entry(
    redis_url: str, behind: Driver
) -> None:
    for number in range(5):
        behind.xadd("carts", {"data": str(number)})
    behind.xtrim("carts", maxlen=2, approximate=False)
    async with RedisStreamSource("carts").open(clock=SystemClock(), events=redis_url) as reader:
        events = await reader.receive({0: 0}, limit=10, wait=0)
        assert [event.data for event in events] == [b"3", b"4"]
        assert await reader.starts() == {0: events[0].offset}
        behind.xtrim("carts", maxlen=0, approximate=False)
        assert await reader.starts() == await reader.ends([0]) == {0: events[1].offset + 1}


async def test_an_id_that_is_too_large_is_refused_with_a_way_out(
    redis_url: str, behind: Driver
) -> None:
    behind.xadd("carts", {"data": "x"}, id=f"1-{2**21}")
    async with RedisStreamSource("carts").open(clock=SystemClock(), events=redis_url) as reader:
        with pytest.raises(StoreError, match="Let the server make the ids"):
            await reader.receive({0: 0}, limit=1, wait=0)


def test_a_source_without_a_server_is_refused_unless_the_events_are_on_redis() -> None:
    with pytest.raises(InvalidInput, match="it names no server"):
        RedisStreamSource("carts").open(clock=SystemClock(), events="kafka://host:9092")
    for streams in ((), ("carts", "carts")):
        with pytest.raises(InvalidInput, match="each once"):
            RedisStreamSource(*streams)


async def test_the_id_of_many_streams_is_short_enough_for_every_store(redis_url: str) -> None:
    names = [f"carts-of-the-country-{country}" for country in range(100)]
    ids = set[str]()
    for streams in (names, names[:-1], names[:1]):
        source = RedisStreamSource(*streams)
        async with source.open(clock=SystemClock(), events=redis_url) as reader:
            ids.add(reader.source_id)
    assert len(ids) == 3
    assert max(map(len, ids)) <= 1000  # the column of logs in databases
