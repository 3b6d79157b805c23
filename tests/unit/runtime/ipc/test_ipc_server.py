"""The server answers requests concurrently, within bounds, and stops in an orderly way."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from tests.unit.runtime.ipc.serving import LAG, SERVED, TOPIC, VisibleStore, until
from workflow_ray.errors import StoreBusy, StoreError, StoreUnavailable, WriteRejected
from workflow_ray.records import RunId, Version
from workflow_ray.runtime.ipc import IpcServer, IpcTransport, store_over
from workflow_ray.runtime.ipc.frames import MAX_BODY

Connect = Callable[[], Awaitable[IpcTransport]]


def poll(connection: IpcTransport) -> asyncio.Task[object]:
    return asyncio.create_task(
        store_over(connection, SERVED).watch({RunId("r"): Version(1)}, wait=60)
    )


async def test_a_quick_answer_overtakes_a_long_poll_on_the_same_connection(
    connect: Connect, store: VisibleStore
) -> None:
    connection = await connect()
    waiting = poll(connection)
    await until(lambda: store.blocked == 1)
    assert await store_over(connection, SERVED).lag(TOPIC, {}) == LAG
    assert not waiting.done()
    waiting.cancel()


async def test_a_connection_with_too_many_requests_is_busy_and_others_are_not(
    connect: Connect, store: VisibleStore
) -> None:
    connection, other = await connect(), await connect()
    polls = [poll(connection) for _ in range(4)]
    await until(lambda: store.blocked == 4)
    with pytest.raises(
        StoreBusy, match=r"4 requests with \d+ bytes of this connection, and on 4 .* in all"
    ):
        await store_over(connection, SERVED).lag(TOPIC, {})
    assert await store_over(other, SERVED).lag(TOPIC, {}) == LAG
    polls[0].cancel()
    await until(lambda: store.blocked == 3)
    assert await store_over(connection, SERVED).lag(TOPIC, {}) == LAG


async def test_a_server_with_too_many_requests_is_busy_for_all(
    connect: Connect, store: VisibleStore
) -> None:
    first, second = await connect(), await connect()
    polls = [poll(connection) for connection in (first, first, first, second, second, second)]
    await until(lambda: store.blocked == 6)
    with pytest.raises(StoreBusy, match=r"and on 6 requests with \d+ bytes in all"):
        await store_over(await connect(), SERVED).lag(TOPIC, {})
    for each in polls:
        each.cancel()


async def test_the_polls_of_a_client_that_has_left_are_cancelled(
    connect: Connect, store: VisibleStore
) -> None:
    connection = await connect()
    polls = [poll(connection), poll(connection)]
    await until(lambda: store.blocked == 2)
    connection.close()
    await until(lambda: store.cancelled == 2)
    assert [type(outcome) for outcome in await asyncio.gather(*polls, return_exceptions=True)] == [
        StoreUnavailable
    ] * 2


async def test_a_call_that_ends_at_its_deadline_is_also_cancelled_at_the_server(
    connect: Connect, store: VisibleStore
) -> None:
    store_there = store_over(await connect(), SERVED, patience=0.05)
    with pytest.raises(StoreUnavailable, match=r"has not answered within 0\.05 s \(store\)"):
        await store_there.store([])
    await until(lambda: store.cancelled == 1)
    assert await store_there.lag(TOPIC, {}) == LAG


async def test_a_request_that_is_too_large_is_not_sent_and_affects_no_other_call(
    connect: Connect, store: VisibleStore
) -> None:
    connection = await connect()
    waiting = poll(connection)
    await until(lambda: store.blocked == 1)
    with pytest.raises(WriteRejected, match="send fewer at once"):
        await connection.call("store", bytes(MAX_BODY + 1), deadline=5)
    assert await store_over(connection, SERVED).lag(TOPIC, {}) == LAG
    assert not waiting.done()
    waiting.cancel()


async def test_an_answer_that_is_too_large_is_an_error_and_affects_no_other_call(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_ray.runtime.ipc.server.MAX_BODY", 10)
    store = store_over(await connect(), SERVED)
    with pytest.raises(StoreError, match="ask for fewer at once"):
        await store.deployment()
    assert await store.lag(TOPIC, {}) == LAG


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", (MAX_BODY + 1).to_bytes(4, "little") + b"\1" + bytes(9)]
)
async def test_only_the_peer_that_breaks_the_protocol_is_disconnected(
    connect: Connect, socket_path: str, garbage: bytes
) -> None:
    connection = await connect()
    reader, writer = await asyncio.open_unix_connection(socket_path)
    writer.write(garbage)
    # How it ends depends on what the server has read.
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    assert await store_over(connection, SERVED).lag(TOPIC, {}) == LAG


async def test_a_server_that_stops_answers_what_it_has_begun_and_cancels_long_polls(
    connect: Connect, server: IpcServer, store: VisibleStore
) -> None:
    connection = await connect()
    waiting, writing = (
        poll(connection),
        asyncio.create_task(store_over(connection, SERVED).store([])),
    )
    await until(lambda: store.blocked == 2)
    stopping = asyncio.create_task(server.close())
    await until(lambda: store.cancelled == 1)
    store.written.set()
    await stopping
    assert await writing == []
    with pytest.raises(StoreUnavailable, match="the connection was closed"):
        await waiting


async def test_a_server_that_stops_waits_no_longer_than_its_drain_time(
    connect: Connect, server: IpcServer, store: VisibleStore
) -> None:
    writing = asyncio.create_task(store_over(await connect(), SERVED).store([]))
    await until(lambda: store.blocked == 1)
    await server.close(drain=0.01)
    assert store.cancelled == 1
    with pytest.raises(StoreUnavailable):
        await writing
