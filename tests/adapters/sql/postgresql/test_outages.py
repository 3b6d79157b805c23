"""A server that is killed, hangs, or drops connections: every caller gets an error, nothing is lost
or doubled, and work goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from time import monotonic

import pytest

from tests.servers import Postgres
from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import SystemClock, persist
from workflow_ray.records import Fence, RunId, Stored, Version
from workflow_ray.testing.conformance.runs import (
    acquire,
    group,
    new_run,
    results,
    step,
    store_all,
    stored,
    versions,
)
from workflow_ray_adapters.sql import PostgresqlAdapter
from workflow_ray_adapters.sql.postgresql import watch
from workflow_ray_adapters.sql.server import database
from workflow_ray_adapters.sql.store import SqlStore

from .conftest import Opener, Sql

CLOCK = SystemClock()


@pytest.fixture
def server(server_folder: Path) -> Iterator[Postgres]:
    """A server that the test kills."""
    with Postgres(server_folder) as server:
        yield server


@pytest.fixture
async def store(server: Postgres) -> AsyncIterator[SqlStore]:
    with server.database("shop") as url:
        await asyncio.to_thread(PostgresqlAdapter().create, url)
        async with PostgresqlAdapter().open_records(url, clock=CLOCK) as store:
            yield store
        server.thaw()
        server.start()


async def advance(store: SqlStore, fence: Fence, *, to: int, halfway: asyncio.Event) -> RunId:
    """Write the versions of a run one by one, each until the store answers."""
    write = new_run()
    for version in range(1, to + 1):
        answers = await persist(partial(store.store, [group(write, fence=fence)]), CLOCK, "test")
        assert results(answers) == [Stored(write.run_id, Version(version))]
        write = step(write)
        if version == to // 2:
            halfway.set()
    return write.run_id


async def test_a_server_that_is_killed_and_started_again_has_every_version_once(
    server: Postgres, store: SqlStore
) -> None:
    fence, halfway = await acquire(store), asyncio.Event()
    working = [
        asyncio.create_task(advance(store, fence, to=60, halfway=halfway)) for _ in range(20)
    ]
    await halfway.wait()
    server.kill()
    await asyncio.to_thread(server.start)
    for run_id in await asyncio.gather(*working):
        assert await versions(store, run_id) == list(range(1, 61))


async def test_while_the_server_is_down_every_call_says_so_at_once(
    server: Postgres, store: SqlStore
) -> None:
    run = new_run()
    await store_all(store, run)
    server.kill()
    for call in (
        partial(store.lookup, [run.run_id]),
        partial(store_all, store, new_run()),
        partial(store.counts, "orders"),
    ):
        start = monotonic()
        with pytest.raises(StoreUnavailable, match=r"can't be reached|failed"):
            await call()
        assert monotonic() - start < 5


async def test_a_server_that_hangs_is_unavailable_and_then_goes_on(
    server: Postgres, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = new_run(), new_run()
    await store_all(store, first)
    assert (await store.lookup([first.run_id]))[0]
    for module, seconds in (
        (database, "DEADLINE"),
        (database, "CONNECTING"),
        (watch, "PATIENCE"),
        (watch, "CONNECTING"),
    ):
        monkeypatch.setattr(module, seconds, 0.3)
    server.freeze()
    for call in (partial(store.lookup, [first.run_id]), partial(store_all, store, second)):
        with pytest.raises(StoreUnavailable, match="doesn't answer"):
            await call()
    server.thaw()
    await persist(partial(store_all, store, second), CLOCK, "test")
    assert (await stored(store, second.run_id)).version == 1


async def test_connections_dropped_while_nobody_used_them_are_replaced_unnoticed(
    opened: Opener, sql: Sql
) -> None:
    run, other = new_run(), new_run()
    async with opened() as store:
        await store_all(store, run)
        assert (await store.lookup([run.run_id]))[0]
        await dropped(sql)
        assert (await store.lookup([run.run_id]))[0]
        await store_all(store, other)
        assert await versions(store, other.run_id) == [1]


async def dropped(sql: Sql) -> None:
    """The server ends every other connection to this database."""
    await sql(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname ="
        " current_database() AND pid <> pg_backend_pid()"
    )
