"""A store over the lane is a store: the public suite passes on it."""

from collections.abc import AsyncIterator

import pytest

from workflow_ray.ports import Store
from workflow_ray.runtime.lane import LaneServer, LaneTransport, remote_store
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import (
    EventStreamerConformance,
    OutboxMoverConformance,
    RecordStoreConformance,
    RoleSchedulerConformance,
)
from workflow_ray_adapters.memory import MemoryStore


class TestStoreOverTheLane(RecordStoreConformance, EventStreamerConformance, RoleSchedulerConformance, OutboxMoverConformance):
    @pytest.fixture
    async def store(self, clock: FakeClock, socket_path: str) -> AsyncIterator[Store]:
        served = MemoryStore(clock)
        async with LaneServer(served) as server:
            await server.start(socket_path)
            lane = await LaneTransport.connect(socket_path)
            yield await remote_store(lane)
            lane.close()
