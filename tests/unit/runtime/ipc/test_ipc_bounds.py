"""Who does not read is waited for, within bounds, and holds up nobody else."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.runtime.ipc.serving import LAG, SERVED, TOPIC, VisibleStore, until
from workflow_ray.errors import StoreBusy, StoreUnavailable
from workflow_ray.records import (
    BATCH_DATA,
    MAX_DATA,
    Cause,
    Record,
    RunId,
    RunQuery,
    RunState,
    Version,
)
from workflow_ray.runtime.ipc import Bounds, IpcServer, IpcTransport, store_over
from workflow_ray.runtime.ipc.frames import HIGH_WATER, MAX_BODY, Frame, Kind, Wire
from workflow_ray.runtime.ipc.methods import METHODS

Connect = Callable[[], Awaitable[IpcTransport]]
MIB = 1024 * 1024
UNREAD = 16 * MIB
MANY = 100
LARGE = "1 MiB"
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def record(size: int) -> Record:
    return Record(
        run_id=RunId("0190"),
        workflow="orders",
        foreign_id="order-1",
        status=1,
        run_state=RunState.RUNNING,
        version=Version(3),
        visit=Version(2),
        attempt=1,
        cause=Cause.RETRY,
        reason=None,
        partition=5,
        data=bytes(size),
        created_at=NOW,
        updated_at=NOW,
    )


class LargeStore(VisibleStore):
    """Answers `runs` with 1 MiB at once, and `watch` with as much once `arrived` is set; `looked`
    counts the former.
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


class Peer(Wire):
    """One end of a connection, which can stop reading."""

    def __init__(self, *, reads: bool = True) -> None:
        self.frames: list[Frame] = []
        self.transport: asyncio.Transport | None = None
        self._reads = reads
        super().__init__(self.frames.append, lambda _: None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        super().connection_made(transport)
        if not self._reads:
            self.stop_reading()

    def stop_reading(self) -> None:
        assert self.transport is not None
        self.transport.pause_reading()

    def read_again(self) -> None:
        assert self.transport is not None
        self.transport.resume_reading()

    @property
    def calls(self) -> list[Frame]:
        return [frame for frame in self.frames if frame.kind is Kind.CALL]

    def ask(self, number: int, method: str, *args: Any, **named: Any) -> None:
        self.send(
            Frame(
                Kind.CALL,
                number,
                method,
                METHODS[method].request(METHODS[method].arguments(*args, **named)),
            )
        )

    def outcome(self, method: str, number: int) -> Any:
        """What the request was answered with: LARGE for that record; an error is an outcome too."""
        (body,) = (frame.body for frame in self.frames if frame.request == number)
        try:
            answer = METHODS[method].result(body)
        except StoreUnavailable as error:
            return error
        return LARGE if answer == [record(MIB)] else answer


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


@pytest.fixture
def memory() -> Iterator[Callable[[], int]]:
    """Bytes that were allocated since the test began and are in use."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    yield lambda: tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# --- the server -------------------------------------------------------------------------------


async def test_no_request_is_begun_for_a_client_that_does_not_read_and_all_are_once_it_reads(
    client: Peer, connect: Connect, store: LargeStore, memory: Callable[[], int]
) -> None:
    client.stop_reading()
    for number in range(MANY):
        client.ask(number, "runs", RunQuery(workflow="orders"))
    await until(lambda: store.looked > HIGH_WATER // MIB)
    await turns()
    assert store.looked <= HIGH_WATER // MIB + 2
    assert memory() < HIGH_WATER + 4 * MIB
    assert await store_over(await connect(), SERVED).lag(TOPIC, {}) == LAG  # nobody else waits
    client.read_again()
    await until(lambda: len(client.frames) == MANY)
    assert [client.outcome("runs", number) for number in range(MANY)] == [LARGE] * MANY


async def test_requests_of_a_client_that_does_not_read_stay_where_they_are_until_it_reads(
    client: Peer, store: LargeStore
) -> None:
    client.stop_reading()
    for number in range(MANY):
        client.ask(number, "runs", RunQuery(workflow="orders"))
    await until(lambda: store.looked > HIGH_WATER // MIB)
    # each of them would get an answer, be it that there are too many
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
        assert client.outcome("watch", 0) == LARGE  # the first may go beyond the bound
        assert isinstance(client.outcome("watch", 1), StoreUnavailable)
        assert client.outcome("store", 2) == []
        client.break_off("the test is over")


async def test_requests_in_hand_are_bounded_in_bytes_for_a_connection_and_in_all(
    connect: Connect, store: LargeStore
) -> None:
    """Each request of this test has 1 MB; 4 MiB of one connection and 6 MiB in all are allowed."""
    seen = {RunId("r" * 1_000_000): Version(1)}
    first, second = [store_over(await connect(), SERVED) for _ in range(2)]
    polls = [asyncio.create_task(first.watch(seen, wait=60)) for _ in range(4)]
    await until(lambda: store.blocked == 4)
    with pytest.raises(StoreBusy, match=r"4 requests with 40\d+ bytes of this connection"):
        await first.watch(seen, wait=60)
    assert await first.lag(TOPIC, {}) == LAG  # a small one finds room
    polls += [asyncio.create_task(second.watch(seen, wait=60)) for _ in range(2)]
    await until(lambda: store.blocked == 6)
    with pytest.raises(StoreBusy, match=r"6 requests with 60\d+ bytes in all"):
        await second.watch(seen, wait=60)
    store.arrived.set()
    await asyncio.gather(*polls)
    assert len(await second.watch(seen, wait=60)) == 1


async def test_a_client_that_leaves_without_reading_leaves_nothing_behind(
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


def test_what_one_answer_may_hold_fits_into_a_frame() -> None:
    largest = [record(BATCH_DATA), record(MAX_DATA)]
    # any list encodes the same
    size = len(METHODS["runs"].request(METHODS["deploy"].arguments(0, largest)))
    assert size < MAX_BODY


# --- the client -------------------------------------------------------------------------------


@pytest.fixture
async def silent(socket_path: str) -> AsyncIterator[list[Peer]]:
    """Servers, one for each connection, that read nothing before `read_again` and answer nothing by
    themselves.
    """
    peers: list[Peer] = []

    def accept() -> Peer:
        peers.append(Peer(reads=False))
        return peers[-1]

    async with await asyncio.get_running_loop().create_unix_server(accept, socket_path):
        yield peers
        for peer in peers:
            peer.break_off("the test is over")


@pytest.fixture
async def connection(silent: list[Peer], socket_path: str) -> AsyncIterator[IpcTransport]:
    connection = await IpcTransport.connect(socket_path, ping=60)
    await until(lambda: len(silent) == 1)
    yield connection
    connection.close()


async def test_a_client_buffers_a_bounded_amount_for_a_server_that_does_not_read(
    connection: IpcTransport, silent: list[Peer], memory: Callable[[], int]
) -> None:
    body = bytes(MIB)
    calls = [asyncio.create_task(connection.call("store", body, deadline=60)) for _ in range(MANY)]
    await turns()
    assert memory() < HIGH_WATER + 6 * MIB
    (server,) = silent
    server.read_again()
    await until(lambda: len(server.calls) == MANY)
    requests = [frame.request for frame in server.calls]
    assert requests == sorted(requests)
    for request in requests:
        server.send(Frame(Kind.ANSWER, request, body=b"done"))
    async with asyncio.timeout(10):
        assert await asyncio.gather(*calls) == [b"done"] * MANY


async def test_a_call_that_is_given_up_before_the_server_read_so_far_is_never_sent(
    connection: IpcTransport, silent: list[Peer]
) -> None:
    first = asyncio.create_task(connection.call("store", bytes(2 * HIGH_WATER), deadline=60))
    await turns()
    with pytest.raises(StoreUnavailable, match="no answer to lag"):
        await connection.call("lag", b"", deadline=0.01)
    later = asyncio.create_task(connection.call("ends", b"", deadline=60))
    (server,) = silent
    server.read_again()
    await until(lambda: len(server.calls) == 2)
    assert [frame.name for frame in server.calls] == ["store", "ends"]
    assert Kind.CANCEL not in {frame.kind for frame in server.frames}
    first.cancel()
    later.cancel()


async def test_calls_that_wait_for_room_fail_at_once_when_the_connection_breaks(
    connection: IpcTransport, silent: list[Peer]
) -> None:
    calls = [
        asyncio.create_task(connection.call("store", bytes(HIGH_WATER + 1), deadline=60))
        for _ in range(3)
    ]
    await turns()
    silent[0].break_off("the test says so")
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3


async def test_a_server_whose_large_answer_takes_long_to_arrive_is_alive(socket_path: str) -> None:
    async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"runs")
        request = int.from_bytes(head[-13:-5], "little")
        writer.write(
            (MIB).to_bytes(4, "little")
            + bytes([Kind.ANSWER])
            + request.to_bytes(8, "little")
            + b"\0"
        )
        for _ in range(32):
            await asyncio.sleep(0.01)  # 0.32 s in all; three pings are missed after 0.15 s
            writer.write(bytes(MIB // 32))
        writer.close()

    async with await asyncio.start_unix_server(answer_slowly, socket_path):
        connection = await IpcTransport.connect(socket_path, ping=0.05)
        assert await connection.call("runs", b"", deadline=60) == bytes(MIB)
        connection.close()
