"""The MariaDB adapter: the conformance suite. What is its own is in tests/adapters/sql."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from typing import ClassVar
from uuid import uuid4

import pytest
from sqlalchemy import make_url

from tests.adapters.sql.wiping import wipe
from tests.servers import MariaDB
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
from workflow_ray_adapters.sql import MariadbAdapter
from workflow_ray_adapters.sql.mariadb.connections import standing
from workflow_ray_adapters.sql.mariadb.url import target


@pytest.fixture(scope="module")
def url(mariadb: MariaDB) -> Iterator[str]:
    """One store for all tests here: each leaves it empty."""
    with mariadb.database(f"test_{uuid4().hex}") as url:
        MariadbAdapter().create(url)
        yield url


class TestMariadbStore(
    RecordStoreConformance, EventStreamerConformance, TimeoutStoreConformance, RoleSchedulerConformance, OutboxMoverConformance
):
    lacks: ClassVar = {Capability.SIZED_TOPICS: "a topic is a name in its events' rows, with any number of partitions"}

    @pytest.fixture
    async def store(self, clock: FakeClock, url: str) -> AsyncIterator[Store]:
        async with MariadbAdapter().open_records(url, clock=clock, exclusive=False) as store:
            yield store
        await wipe(standing(target(url)))

    @pytest.fixture
    def another(self, clock: FakeClock, url: str, store: Store) -> Another:
        def another() -> AbstractAsyncContextManager[Store]:
            return MariadbAdapter().open_records(url, clock=clock, exclusive=False)

        return another

    @pytest.fixture
    async def fragile(self, clock: FakeClock, url: str, store: Store) -> AsyncIterator[Fragile]:
        server = make_url(url)
        async with FaultyProxy(str(server.host), server.port or 0) as proxy:
            broken = server.set(host=proxy.host, port=proxy.port).render_as_string(hide_password=False)
            async with MariadbAdapter().open_records(broken, clock=clock, exclusive=False) as store:
                yield Proxied(store, proxy)
