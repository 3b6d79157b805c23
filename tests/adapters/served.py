"""Fixtures of the conformance suites for a store on a server."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

import pytest

from tests.adapters.reference import ReferenceCases
from workflow_ray.ports import Clock, Records, records_adapter
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import (
    Another,
    EventStreamerConformance,
    Fragile,
    OutboxMoverConformance,
    Proxied,
    RecordStoreConformance,
    RoleSchedulerConformance,
    TimeoutStoreConformance,
)
from workflow_ray.testing.faults import FaultyProxy


class ServedStore(
    RecordStoreConformance,
    EventStreamerConformance,
    TimeoutStoreConformance,
    RoleSchedulerConformance,
    OutboxMoverConformance,
    ReferenceCases,
):
    """A subclass defines the fixture `url` of a store that is empty before each test."""

    @pytest.fixture
    async def store(self, clock: FakeClock, url: str) -> AsyncIterator[Records]:
        async with open_store(url, clock) as store:
            yield store

    @pytest.fixture
    def another(self, clock: FakeClock, url: str, store: Records) -> Another:
        return lambda: open_store(url, clock)

    @pytest.fixture
    async def fragile(self, clock: FakeClock, url: str, store: Records) -> AsyncIterator[Fragile]:
        server = urlsplit(url)
        user, at, _ = server.netloc.rpartition("@")
        async with FaultyProxy(str(server.hostname), server.port or 0) as proxy:
            broken = server._replace(netloc=f"{user}{at}{proxy.host}:{proxy.port}").geturl()
            async with open_store(broken, clock) as store:
                yield Proxied(store, proxy)


def open_store(url: str, clock: Clock) -> AbstractAsyncContextManager[Records]:
    return records_adapter(url).open_records(url, clock=clock, exclusive=False)
