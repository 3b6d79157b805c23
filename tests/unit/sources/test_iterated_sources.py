"""Sources that are made of async generator functions."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, Stage, packing
from workflow_ray import Client, source
from workflow_ray.errors import InvalidInput, StoreUnavailable
from workflow_ray.ports import SourceReader
from workflow_ray.records import ConnectorEvent, Role, connector_group
from workflow_ray.sources import IteratedSource, iterated_reader
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import ConnectorSourceConformance, Put


class Logs:
    """Lists of messages that an iterator follows."""

    def __init__(self, count: int = 1) -> None:
        self.messages: list[list[tuple[int, bytes, str, Mapping[str, str]]]] = [
            [] for _ in range(count)
        ]
        self.changed = asyncio.Event()
        self.asked = list[int]()  # the offsets that iterators began at

    def put(
        self, data: bytes, partition: int = 0, key: str = "", headers: Mapping[str, str] = {}
    ) -> None:
        log = self.messages[partition]
        log.append((len(log), data, key, headers))
        self.changed.set()
        self.changed = asyncio.Event()

    async def follow(self, partition: int, offset: int) -> AsyncIterator[Any]:
        self.asked.append(offset)
        while True:
            changed = self.changed
            while offset < len(self.messages[partition]):
                yield self.messages[partition][offset]
                offset += 1
            await changed.wait()


class TestIteratedSource(ConnectorSourceConformance):
    @pytest.fixture
    def logs(self) -> Logs:
        return Logs(2)

    @pytest.fixture
    async def source(self, logs: Logs, clock: FakeClock) -> AsyncIterator[SourceReader]:
        @source(partitions=2, name="logs")
        async def lines(partition: int, offset: int) -> AsyncIterator[Any]:
            async for message in logs.follow(partition, offset):
                yield message

        @lines.ends
        async def end(partition: int) -> int:
            return len(logs.messages[partition])

        async with lines.open(clock=clock, events="") as reader:
            yield reader

    @pytest.fixture
    def put(self, logs: Logs) -> Put:
        async def put(
            partition: int, data: bytes, *, key: str = "", headers: Mapping[str, str] | None = None
        ) -> None:
            logs.put(data, partition, key, headers or {})

        return put


def numbers() -> IteratedSource:
    """A source that ends after three messages each time."""

    @source
    async def three(offset: int) -> AsyncIterator[tuple[int, bytes]]:
        for number in range(offset, min(offset + 3, 10)):
            yield number, str(number).encode()

    return three


async def test_an_iterator_that_ends_is_asked_again_from_the_next_offset() -> None:
    clock = FakeClock()
    async with numbers().open(clock=clock, events="") as reader:
        offset, seen = 0, list[bytes]()
        for _ in range(4):
            receiving = asyncio.create_task(reader.receive({0: offset}, limit=10, wait=5))
            await clock.settle()
            if not receiving.done():
                await _advance(clock, 1)
            for event in await receiving:
                seen.append(event.data)
                offset = event.offset + 1
        assert seen == [str(number).encode() for number in range(10)]


async def test_a_reader_that_goes_on_where_it_was_keeps_its_iterator() -> None:
    logs = Logs()

    @source
    async def lines(offset: int) -> AsyncIterator[Any]:
        async for message in logs.follow(0, offset):
            yield message

    for number in range(5):
        logs.put(str(number).encode())
    async with lines.open(clock=FakeClock(), events="") as reader:
        await reader.receive({0: 0}, limit=2, wait=0)
        await reader.receive({0: 2}, limit=2, wait=0)
        assert logs.asked == [0]
        again = await reader.receive({0: 0}, limit=2, wait=0)
        assert ([event.data for event in again], logs.asked) == ([b"0", b"1"], [0, 0])


async def test_an_iterator_that_raises_is_called_again_and_the_error_is_transient() -> None:
    calls = list[int]()

    @source
    async def flaky(offset: int) -> AsyncIterator[tuple[int, bytes]]:
        calls.append(offset)
        if len(calls) == 1:
            raise ConnectionError("away")
        yield offset, b"x"

    async with flaky.open(clock=FakeClock(), events="") as reader:
        with pytest.raises(StoreUnavailable, match="raised ConnectionError"):
            await reader.receive({0: 7}, limit=1, wait=0)
        (event,) = await reader.receive({0: 7}, limit=1, wait=0)
        assert event.offset == 7


@pytest.mark.parametrize("message", [b"x", (1,), ("1", b"x"), (0, b"x"), (1, "x"), (1, b"", 2)])
async def test_what_is_not_a_message_is_refused(message: Any) -> None:
    @source
    async def wrong(offset: int) -> AsyncIterator[Any]:
        yield message

    async with wrong.open(clock=FakeClock(), events="") as reader:
        with pytest.raises(InvalidInput, match="its function must yield"):
            await reader.receive({0: 1}, limit=1, wait=0)


async def test_what_is_not_an_async_generator_function_is_refused() -> None:
    async def nothing(offset: int) -> None: ...

    with pytest.raises(InvalidInput, match=r"`async def` with a `yield`"):
        source(nothing)  # type: ignore[arg-type]  # of a caller without types


async def test_a_connector_reads_it_and_recovers_without_knowing_its_end() -> None:
    logs = Logs()
    handled = list[str]()
    hangs = [True]

    @source
    async def lines(offset: int) -> AsyncIterator[Any]:
        async for message in logs.follow(0, offset):
            yield message

    workflow = packing()

    @workflow.connector("lines", lines)
    async def on_line(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        if hangs:
            await asyncio.Event().wait()
        handled.append(event.data.decode())

    role = Role(connector_group("parcels", "lines"))
    async with Bench(workflow) as bench:
        first = await bench.start(role)
        for number in range(5):
            logs.put(str(number).encode())
        await bench.pass_time(1)
        await first.kill()
        hangs.clear()
        await bench.start(role)
        await bench.pass_time(10)
        logs.put(b"5")
        await bench.pass_time(1)
        assert handled == ["0", "1", "2", "3", "4", "5"]


async def _advance(clock: FakeClock, seconds: float) -> None:
    await clock.advance(timedelta(seconds=seconds))


async def test_an_iterator_that_raises_a_cancellation_is_asked_again() -> None:
    asked = list[int]()

    @source
    async def lines(offset: int) -> AsyncIterator[Any]:
        asked.append(offset)
        if len(asked) == 1:
            raise asyncio.CancelledError
        yield offset, b"a"

    async with lines.open(clock=FakeClock(), events="") as reader:
        with pytest.raises(StoreUnavailable, match="raised CancelledError"):
            await reader.receive({0: 0}, limit=1, wait=0.0)
        (event,) = await reader.receive({0: 0}, limit=1, wait=0.0)
        assert event.data == b"a"


async def test_an_iterator_whose_task_group_fails_is_asked_again() -> None:
    asked = list[int]()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ConnectionError("away")

    @source
    async def lines(offset: int) -> AsyncIterator[Any]:
        asked.append(offset)
        if len(asked) == 1:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())
        yield offset, b"a"

    clock = FakeClock()
    async with lines.open(clock=clock, events="") as reader:
        receiving = asyncio.create_task(reader.receive({0: 0}, limit=1, wait=1.0))
        await _advance(clock, 5)
        with pytest.raises(StoreUnavailable, match="raised ExceptionGroup"):
            await receiving
        (event,) = await reader.receive({0: 0}, limit=1, wait=0.0)
        assert event.data == b"a"


async def test_an_iterator_that_does_not_end_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(iterated_reader, "CLOSING", 0.01)
    end = asyncio.Event()

    @source
    async def lines(offset: int) -> AsyncIterator[Any]:
        yield offset, b"a"
        while not end.is_set():
            with suppress(asyncio.CancelledError):
                await end.wait()

    async with lines.open(clock=FakeClock(), events="") as reader:
        assert await reader.receive({0: 0}, limit=1, wait=0.0)
    assert "does not end although it was cancelled" in caplog.text
    end.set()


async def test_an_end_that_can_not_be_told_now_is_asked_for_again() -> None:
    @source
    async def lines(offset: int) -> AsyncIterator[Any]:
        yield offset, b"a"

    @lines.ends
    async def end() -> int:
        raise OSError("away")

    async with lines.open(clock=FakeClock(), events="") as reader:
        with pytest.raises(StoreUnavailable, match="raised OSError"):
            await reader.ends([0])
