"""A store over IPC passes the public conformance suites."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from workflow_ray.ports import Store
from workflow_ray.runtime.ipc import IpcServer, IpcTransport, remote_store
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import (
    Another,
    Capability,
    EventStreamerConformance,
    OutboxMoverConformance,
    RecordStoreConformance,
    RoleSchedulerConformance,
    TimeoutStoreConformance,
)
from workflow_ray_adapters.memory import MemoryStore


class TestStoreOverIpc(
    RecordStoreConformance,
    EventStreamerConformance,
    TimeoutStoreConformance,
    RoleSchedulerConformance,
    OutboxMoverConformance,
):
    lacks: ClassVar = {
        Capability.FAULTS: (
            "the store served is in memory: a broken connection leaves no transaction open"
        ),
        Capability.DURABILITY: "the store served is in memory",
    }

    @pytest.fixture
    async def another(self, clock: FakeClock, socket_path: str) -> AsyncIterator[Another]:
        async with IpcServer(MemoryStore(clock)) as server:
            await server.start(socket_path)
            yield lambda: connected(socket_path)

    @pytest.fixture
    async def store(self, another: Another) -> AsyncIterator[Store]:
        async with another() as store:
            yield store


@asynccontextmanager
async def connected(socket_path: str) -> AsyncGenerator[Store]:
    connection = await IpcTransport.connect(socket_path)
    yield await remote_store(connection)
    connection.close()
