"""Which calls are repeated after a break, and for how long."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.unit.runtime.ipc.serving import LAG, SERVED, TOPIC
from workflow_ray.errors import RuntimeUnavailable, StoreUnavailable
from workflow_ray.runtime.ipc import IpcServer, Reconnecting, store_over
from workflow_ray.runtime.ipc.frames import Frame, Kind, Wire
from workflow_ray.runtime.ipc.methods import METHODS

REPEATABLE = sorted(name for name, method in METHODS.items() if method.is_repeatable)


class Finder:
    """Returns `path` after it has raised `failures`."""

    def __init__(self, path: str, *failures: Exception) -> None:
        self.asked = 0
        self._path = path
        self._failures = list(failures)

    async def __call__(self) -> str:
        self.asked += 1
        if self._failures:
            raise self._failures.pop(0)
        return self._path


@pytest.fixture
async def breaking(socket_path: str) -> AsyncIterator[str]:
    """A server that breaks the connection at each request."""

    def accept() -> Wire:
        def receive(frame: Frame) -> None:
            if frame.kind is Kind.CALL:
                wire.break_off("the test says so")

        wire = Wire(receive, lambda _: None)
        return wire

    async with await asyncio.get_running_loop().create_unix_server(accept, socket_path):
        yield socket_path


def nowhere() -> StoreUnavailable:
    return StoreUnavailable("the store", "is starting")


@pytest.mark.parametrize("method", sorted(METHODS.keys() - set(REPEATABLE)))
async def test_a_call_that_is_not_repeatable_is_sent_once(breaking: str, method: str) -> None:
    find = Finder(breaking)
    connection = Reconnecting(find)
    with pytest.raises(StoreUnavailable, match="the connection"):
        await connection.call(method, b"", deadline=30)
    assert find.asked == 1


@pytest.mark.parametrize("method", REPEATABLE)
async def test_a_repeatable_call_is_repeated_with_pauses_until_its_deadline(
    breaking: str, method: str
) -> None:
    find = Finder(breaking)
    connection = Reconnecting(find)
    with pytest.raises(StoreUnavailable):
        await connection.call(method, b"", deadline=0.15)
    assert 2 <= find.asked <= 6
    connection.close()


@pytest.mark.usefixtures("server")
async def test_a_call_that_was_not_sent_yet_waits_for_a_server_whatever_its_method(
    socket_path: str,
) -> None:
    find = Finder(socket_path, nowhere(), nowhere())
    connection = Reconnecting(find)
    await store_over(connection, SERVED).send([])
    assert find.asked == 3
    connection.close()


@pytest.mark.usefixtures("server")
async def test_calls_that_wait_share_one_connection(socket_path: str) -> None:
    find = Finder(socket_path, nowhere())
    connection = Reconnecting(find)
    assert (
        await asyncio.gather(*(store_over(connection, SERVED).lag(TOPIC, {}) for _ in range(4)))
        == [LAG] * 4
    )
    assert find.asked == 2
    connection.close()


async def test_without_a_server_a_call_ends_at_its_deadline_and_says_why(
    socket_path: str,
) -> None:
    connection = Reconnecting(Finder(socket_path))
    with pytest.raises(
        StoreUnavailable, match=r"no connection in time: .*no process serves the store there"
    ):
        await store_over(connection, SERVED, patience=0.05).lag(TOPIC, {})


async def test_an_error_other_than_unavailable_ends_the_search(socket_path: str) -> None:
    connection = Reconnecting(Finder(socket_path, RuntimeUnavailable("Ray", "isn't running")))
    with pytest.raises(RuntimeUnavailable):
        await store_over(connection, SERVED).lag(TOPIC, {})


async def test_a_call_to_a_server_that_has_stopped_is_answered_by_the_next_one(
    server: IpcServer, socket_path: str
) -> None:
    connection = Reconnecting(Finder(socket_path))
    store = store_over(connection, SERVED)
    assert await store.lag(TOPIC, {}) == LAG
    await server.close()
    late = asyncio.create_task(store.lag(TOPIC, {}))
    await server.start(socket_path)
    assert await late == LAG
    connection.close()


@pytest.mark.usefixtures("server")
async def test_a_closed_transport_stays_closed(socket_path: str) -> None:
    connection = Reconnecting(Finder(socket_path))
    assert await store_over(connection, SERVED).lag(TOPIC, {}) == LAG
    connection.close()
    with pytest.raises(StoreUnavailable, match="closed here"):
        await store_over(connection, SERVED).lag(TOPIC, {})
