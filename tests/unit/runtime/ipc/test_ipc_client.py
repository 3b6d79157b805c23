"""A client notices that its server, in another process, has died or does not answer."""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.servers import processes
from tests.unit.runtime.ipc import serving
from tests.unit.runtime.ipc.serving import LAG, SERVED, TOPIC
from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import Store
from workflow_ray.records import RunId, Version
from workflow_ray.runtime.ipc import IpcTransport, Reconnecting, store_over

Start = Callable[[str], Awaitable[asyncio.subprocess.Process]]


@asynccontextmanager
async def process(path: str) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    running = await asyncio.create_subprocess_exec(
        sys.executable, serving.__file__, path, stdout=asyncio.subprocess.PIPE
    )
    assert running.stdout is not None
    assert await running.stdout.readline() == b"ready\n"
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts processes that serve a store; they end with the test."""
    async with AsyncExitStack() as stack:

        async def start(path: str) -> asyncio.subprocess.Process:
            return await stack.enter_async_context(process(path))

        yield start


def poll(store: Store) -> asyncio.Task[object]:
    return asyncio.create_task(store.watch({RunId("r"): Version(1)}, wait=60))


async def test_calls_in_flight_fail_at_once_when_the_server_is_killed(
    start: Start, socket_path: str
) -> None:
    server = await start(socket_path)
    connection = await IpcTransport.connect(
        socket_path, ping=60
    )  # the break is noticed without a ping
    store = store_over(connection, SERVED)
    polls = [poll(store) for _ in range(10)]
    assert await store.lag(TOPIC, {}) == LAG
    server.kill()
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*polls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 10
    with pytest.raises(StoreUnavailable):
        await store.lag(TOPIC, {})
    await server.wait()
    with pytest.raises(StoreUnavailable, match="no process serves the store there"):
        await IpcTransport.connect(socket_path)


async def test_a_suspended_server_is_noticed_by_missing_pongs(
    start: Start, socket_path: str
) -> None:
    server = await start(socket_path)
    connection = await IpcTransport.connect(socket_path, ping=0.05)
    store = store_over(connection, SERVED)
    assert await store.lag(TOPIC, {}) == LAG
    processes.freeze([server.pid])
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable, match="didn't answer 3 pings"):
            await store.watch({}, wait=60)
    assert connection.is_broken


async def test_a_loop_that_was_blocked_for_a_long_time_does_not_take_its_server_for_dead(
    start: Start, socket_path: str
) -> None:
    await start(socket_path)
    connection = await IpcTransport.connect(socket_path, ping=0.01)
    for _ in range(5):
        await asyncio.sleep(0)  # A ping may leave before each block.
        signal.sigtimedwait((), 0.05)  # blocks the thread, and so the loop, for five pings
    assert await store_over(connection, SERVED).lag(TOPIC, {}) == LAG
    connection.close()


async def test_a_call_finds_the_next_server_when_its_own_is_killed(
    start: Start, socket_path: str
) -> None:
    found: list[str] = []

    async def find() -> str:
        found.append(paths[-1])
        return found[-1]

    paths = [socket_path]
    server = await start(socket_path)
    connection = Reconnecting(find)
    store = store_over(connection, SERVED)
    waiting = poll(store)
    assert await store.lag(TOPIC, {}) == LAG
    paths.append(socket_path + "2")
    server.kill()
    await start(socket_path + "2")
    assert await store.lag(TOPIC, {}) == LAG
    assert not waiting.done()  # it continues over the new connection
    assert found[-1] == socket_path + "2"
    connection.close()
    with pytest.raises(StoreUnavailable):
        await waiting
