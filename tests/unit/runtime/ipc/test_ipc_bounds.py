"""A client that does not read its answers delays no other client, and costs bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest

from tests.unit.runtime.ipc.peers import LARGE, MANY, MIB, Peer, record, turns
from tests.unit.runtime.ipc.serving import LAG, SERVED, TOPIC, VisibleStore, until
from workflow_ray.errors import StoreBusy, StoreUnavailable
from workflow_ray.records import BATCH_DATA, MAX_DATA, Record, RunId, RunQuery, Version
from workflow_ray.runtime.ipc import Bounds, IpcServer, IpcTransport, store_over
from workflow_ray.runtime.ipc.frames import HIGH_WATER, MAX_BODY
from workflow_ray.runtime.ipc.methods import METHODS

Connect = Callable[[], Awaitable[IpcTransport]]
UNREAD = 16 * MIB


class LargeStore(VisibleStore):
    """A store that answers `runs` with 1 MiB at once, and `watch` with 1 MiB once `arrived` is set.

    `looked` counts the calls of `runs`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.arrived = asyncio.Event()
        self.looked = 0

    async def runs(self, query: RunQuery) -> list[Record]:
        self.looked += 1
        return [record(MIB)]

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        await self._wait(self.arrived)
        return [record(MIB)]


@pytest.fixture
async def store() -> LargeStore:
    return LargeStore()


@pytest.fixture
async def server(store: LargeStore, socket_path: str) -> AsyncIterator[IpcServer]:
    bounds = Bounds(size=6 * MIB, size_per_connection=4 * MIB, unread=UNREAD)
    async with IpcServer(store, bounds=bounds) as server:
        await server.start(socket_path)
        yield server
        await server.close(drain=0)


@pytest.fixture
async def client(server: IpcServer, socket_path: str) -> AsyncIterator[Peer]:
    _, client = await asyncio.get_running_loop().create_unix_connection(Peer, socket_path)
    yield client
    client.break_off("the test is over")


async def test_requests_of_a_client_that_does_not_read_are_begun_once_it_reads(
    client: Peer, connect: Connect, store: LargeStore, memory: Callable[[], int]
) -> None:
    client.stop_reading()
    for number in range(MANY):
        client.ask(number, "runs", RunQuery(workflow="orders"))
    await until(lambda: store.looked > HIGH_WATER // MIB)
    await turns()
    assert store.looked <= HIGH_WATER // MIB + 2
    assert memory() < HIGH_WATER + 4 * MIB
    assert await store_over(await connect(), SERVED).lag(TOPIC, {}) == LAG  # others do not wait
    client.read_again()
    await until(lambda: len(client.frames) == MANY)
    assert [client.outcome("runs", number) for number in range(MANY)] == [LARGE] * MANY


async def test_requests_of_a_client_that_does_not_read_are_not_read_until_it_reads(
    client: Peer, store: LargeStore
) -> None:
    client.stop_reading()
    for number in range(MANY):
        client.ask(number, "runs", RunQuery(workflow="orders"))
    await until(lambda: store.looked > HIGH_WATER // MIB)
    # Each of them would get an answer, at least a StoreBusy.
    for number in range(MANY, MANY + 10_000):
        client.ask(number, "leave", "w" * 100)
    await turns()
    unread = client.unread
    assert unread > 500_000  # most of them; the rest is in the socket
    await turns()
    assert client.unread == unread
    client.read_again()
    await until(lambda: len(client.frames) == MANY + 10_000)


async def test_answers_of_long_polls_that_a_client_does_not_read_are_bounded(
    client: Peer, connect: Connect, store: LargeStore, memory: Callable[[], int]
) -> None:
    for number in range(MANY):
        client.ask(number, "watch", {}, wait=60)
    await until(lambda: store.blocked == MANY)
    client.stop_reading()
    store.arrived.set()
    await until(lambda: store.blocked == 0)
    await turns()
    assert memory() < UNREAD + 4 * MIB
    assert await store_over(await connect(), SERVED).lag(TOPIC, {}) == LAG
    client.read_again()
    await until(lambda: len(client.frames) == MANY)
    outcomes = [client.outcome("watch", number) for number in range(MANY)]
    answered = outcomes.count(LARGE)
    assert UNREAD // MIB - 1 <= answered < MANY
    dropped = [outcome for outcome in outcomes if isinstance(outcome, StoreUnavailable)]
    assert answered + len(dropped) == MANY
    assert "was dropped" in str(dropped[0])
    client.ask(MANY, "watch", {}, wait=60)
    await until(lambda: len(client.frames) == MANY + 1)
    assert client.outcome("watch", MANY) == LARGE


async def test_a_small_answer_is_never_dropped(store: LargeStore, socket_path: str) -> None:
    async with IpcServer(store, bounds=Bounds(unread=1)) as server:
        await server.start(socket_path)
        _, client = await asyncio.get_running_loop().create_unix_connection(Peer, socket_path)
        for number in range(2):
            client.ask(number, "watch", {}, wait=60)
        client.ask(2, "store", [])
        await until(lambda: store.blocked == 3)
        client.stop_reading()
        store.arrived.set()
        await until(lambda: store.blocked == 1)
        store.written.set()
        await until(lambda: store.blocked == 0)
        client.read_again()
        await until(lambda: len(client.frames) == 3)
        assert client.outcome("watch", 0) == LARGE  # the first may exceed the bound
        assert isinstance(client.outcome("watch", 1), StoreUnavailable)
        assert client.outcome("store", 2) == []
        client.break_off("the test is over")


async def test_unanswered_requests_are_bounded_in_bytes_per_connection_and_in_all(
    connect: Connect, store: LargeStore
) -> None:
    """Each request has 1 MB; 4 MiB are allowed per connection, and 6 MiB in all."""
    seen = {RunId("r" * 1_000_000): Version(1)}
    first, second = [store_over(await connect(), SERVED) for _ in range(2)]
    polls = [asyncio.create_task(first.watch(seen, wait=60)) for _ in range(4)]
    await until(lambda: store.blocked == 4)
    with pytest.raises(StoreBusy, match=r"4 requests with 40\d+ bytes of this connection"):
        await first.watch(seen, wait=60)
    assert await first.lag(TOPIC, {}) == LAG  # there is room for a small one
    polls += [asyncio.create_task(second.watch(seen, wait=60)) for _ in range(2)]
    await until(lambda: store.blocked == 6)
    with pytest.raises(StoreBusy, match=r"6 requests with 60\d+ bytes in all"):
        await second.watch(seen, wait=60)
    store.arrived.set()
    await asyncio.gather(*polls)
    assert len(await second.watch(seen, wait=60)) == 1


async def test_the_answers_to_a_client_that_leaves_without_reading_are_dropped(
    client: Peer, store: LargeStore, memory: Callable[[], int], connect: Connect
) -> None:
    client.stop_reading()
    for number in range(MANY):
        client.ask(number, "runs", RunQuery(workflow="orders"))
    await until(lambda: store.looked > HIGH_WATER // MIB)
    client.break_off("the test says so")
    await until(lambda: memory() < 4 * MIB)
    await turns()
    assert store.looked <= HIGH_WATER // MIB + 2
    assert await store_over(await connect(), SERVED).lag(TOPIC, {}) == LAG


def test_the_largest_answer_fits_into_a_frame() -> None:
    largest = [record(BATCH_DATA), record(MAX_DATA)]
    # A list of anything is encoded in the same way.
    size = len(METHODS["runs"].request(METHODS["deploy"].arguments(0, largest)))
    assert size < MAX_BODY
