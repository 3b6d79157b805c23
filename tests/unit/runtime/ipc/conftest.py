"""Fixtures: a served store and its clients."""

import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.unit.runtime.ipc.serving import VisibleStore
from workflow_ray.runtime.ipc import Bounds, IpcServer, IpcTransport

Connect: TypeAlias = Callable[[], Awaitable[IpcTransport]]
BOUNDS = Bounds(
    requests=6, requests_per_connection=4, size=6_000_000, size_per_connection=4_000_000
)


@pytest.fixture
def socket_path() -> Iterator[str]:
    """A path short enough for a socket, which pytest's tmp_path may not be."""
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder, "ipc.sock"))


@pytest.fixture
async def store() -> VisibleStore:
    return VisibleStore()


@pytest.fixture
async def server(store: VisibleStore, socket_path: str) -> AsyncIterator[IpcServer]:
    async with IpcServer(store, bounds=BOUNDS) as server:
        await server.start(socket_path)
        yield server
        await server.close(drain=0)


@pytest.fixture
async def connect(server: IpcServer, socket_path: str) -> AsyncIterator[Connect]:
    """Opens connections to the server, which are closed at the end."""
    connections: list[IpcTransport] = []

    async def connect() -> IpcTransport:
        connections.append(await IpcTransport.connect(socket_path))
        return connections[-1]

    yield connect
    for connection in connections:
        connection.close()


@pytest.fixture
def memory() -> Iterator[Callable[[], int]]:
    """The bytes in use that were allocated since the test began."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    yield lambda: tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
