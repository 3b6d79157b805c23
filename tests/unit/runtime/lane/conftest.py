"""A served store and its clients."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.unit.runtime.lane.serving import VisibleStore
from workflow_ray.runtime.lane import LaneServer, LaneTransport

Connect: TypeAlias = Callable[[], Awaitable[LaneTransport]]


@pytest.fixture
def socket_path() -> Iterator[str]:
    """A path short enough for a socket, which pytest's tmp_path may not be."""
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder, "lane.sock"))


@pytest.fixture
async def store() -> VisibleStore:
    return VisibleStore()


@pytest.fixture
async def server(store: VisibleStore, socket_path: str) -> AsyncIterator[LaneServer]:
    async with LaneServer(store, per_connection=4, in_all=6) as server:
        await server.start(socket_path)
        yield server
        await server.close(drain=0)


@pytest.fixture
async def connect(server: LaneServer, socket_path: str) -> AsyncIterator[Connect]:
    """Opens connections to the server, and closes them at the end."""
    lanes: list[LaneTransport] = []

    async def connect() -> LaneTransport:
        lanes.append(await LaneTransport.connect(socket_path))
        return lanes[-1]

    yield connect
    for lane in lanes:
        lane.close()
