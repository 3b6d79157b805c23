"""A server that is read-only for a moment, as during a failover: the store waits, and finds the
server that can write.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import pytest
from sqlalchemy import Connection

from tests.adapters.sql.databases import execute, set_read_only, transact
from workflow_ray.errors import StoreReadOnly, StoreUnavailable
from workflow_ray.ports import SystemClock, persist, records_adapter
from workflow_ray.records import Stored, Version
from workflow_ray.testing.conformance.runs import group, new_run, results, store_all
from workflow_ray_adapters.sql.store import SqlStore

pytestmark = pytest.mark.server
CLOCK = SystemClock()


@dataclass
class Cluster:
    url: str
    set_read_only: Callable[[bool], Awaitable[None]]
    """For connections that are made from then on. Open ones are cut."""


@pytest.fixture(params=["postgresql", "mariadb"])
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    url: str = request.getfixturevalue(
        {"postgresql": "postgres_url", "mariadb": "mariadb_url"}[request.param]
    )
    await asyncio.to_thread(records_adapter(url).create, url)
    cluster = Cluster(
        url, partial({"postgresql": set_read_only, "mariadb": _mariadb}[request.param], url)
    )
    yield cluster
    await cluster.set_read_only(False)


async def _mariadb(url: str, read_only: bool) -> None:
    await execute(url, f"SET GLOBAL tx_read_only = {int(read_only)}")
    if read_only:
        await transact(url, _cut_others)


def _cut_others(connection: Connection) -> None:
    others = (
        "SELECT id FROM information_schema.processlist WHERE db = database() AND id <>"
        " connection_id()"
    )
    for process in connection.exec_driver_sql(others).scalars().all():
        connection.exec_driver_sql(f"KILL CONNECTION {process}")


async def test_a_server_that_is_read_only_for_a_moment_is_ridden_out(cluster: Cluster) -> None:
    async with records_adapter(cluster.url).open_records(
        cluster.url, clock=CLOCK, exclusive=False
    ) as store:
        assert isinstance(store, SqlStore)
        await store_all(store, new_run())
        await cluster.set_read_only(True)
        run = new_run()
        async with asyncio.timeout(20):
            assert (await refusal(store)).transient
        writing = asyncio.create_task(persist(partial(store.store, [group(run)]), CLOCK, "test"))
        assert not (await asyncio.wait({writing}, timeout=0.5))[0]
        await cluster.set_read_only(False)
        async with asyncio.timeout(20):
            assert results(await writing) == [Stored(run.run_id, Version(1))]


async def refusal(store: SqlStore) -> StoreReadOnly:
    """Return the error that refuses a write, once its connection is a new one."""
    while True:
        try:
            await store_all(store, new_run())
        except StoreReadOnly as refused:
            return refused
        except StoreUnavailable:
            await asyncio.sleep(0.01)
