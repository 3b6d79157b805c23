"""The Redis adapter: the conformance suite. What is its own is in tests/adapters/redis."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from workflow_ray.ports import Store
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import (
    Another,
    Capability,
    EventStreamerConformance,
    Fragile,
    OutboxMoverConformance,
    Proxied,
    RecordStoreConformance,
    RoleSchedulerConformance,
    TimeoutStoreConformance,
)
from workflow_ray.testing.faults import FaultyProxy
from workflow_ray_adapters.redis import RedisAdapter


class TestRedisStore(
    RecordStoreConformance, EventStreamerConformance, TimeoutStoreConformance, RoleSchedulerConformance, OutboxMoverConformance
):
    lacks: ClassVar = {
        Capability.DURABILITY: "with appendfsync everysec a crash of the machine loses a second or so, with always nothing;"
        " a failover loses what the replica hadn't received"
    }

    @pytest.fixture
    async def store(self, clock: FakeClock, redis_url: str) -> AsyncIterator[Store]:
        RedisAdapter().create(redis_url)
        async with RedisAdapter().open_records(redis_url, clock=clock, exclusive=False) as store:
            yield store

    @pytest.fixture
    def another(self, clock: FakeClock, redis_url: str, store: Store) -> Another:
        def another() -> AbstractAsyncContextManager[Store]:
            return RedisAdapter().open_records(redis_url, clock=clock, exclusive=False)

        return another

    @pytest.fixture
    async def fragile(self, clock: FakeClock, redis_url: str, store: Store) -> AsyncIterator[Fragile]:
        server = urlsplit(redis_url)
        async with FaultyProxy(str(server.hostname), server.port or 0) as proxy:
            broken = server._replace(netloc=f"{proxy.host}:{proxy.port}").geturl()
            async with RedisAdapter().open_records(broken, clock=clock, exclusive=False) as store:
                yield Proxied(store, proxy)
