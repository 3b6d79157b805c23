"""A server that dies, connections that break, and processes that die while they hold the lock of
the one that serves the store.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from tests.servers import MariaDB
from workflow_ray.errors import StoreInUse
from workflow_ray.ports import SystemClock, persist
from workflow_ray.records import Role, RunQuery, RunState, Version
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    SHIPPED,
    acquire,
    deploy,
    event,
    group,
    new_run,
    received,
    step,
    workflow,
)
from workflow_ray_adapters.sql import MariadbAdapter
from workflow_ray_adapters.sql.mariadb.connections import autocommit_engine
from workflow_ray_adapters.sql.mariadb.url import parse_target
from workflow_ray_adapters.sql.store import SqlStore

from .conftest import Opener

RUNS = 150
CLOCK = SystemClock()
SERVE = """
import asyncio, sys
from workflow_ray.ports import SystemClock
from workflow_ray_adapters.sql import MariadbAdapter

async def serve() -> None:
    async with MariadbAdapter().open_records(sys.argv[1], clock=SystemClock()):
        print("open", flush=True)
        await asyncio.Event().wait()

asyncio.run(serve())
"""


async def disconnect(url: str) -> int:
    """End every other connection to the database. Return how many there were."""
    async with autocommit_engine(parse_target(url)).connect() as connection:
        others = text(
            "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <>"
            " CONNECTION_ID()"
        )
        found = (await connection.execute(others)).scalars().all()
        for number in found:
            await connection.exec_driver_sql(f"KILL {number}")
        return len(found)


async def go_through(store: SqlStore, count: int) -> None:
    """Trigger that many runs, one after another, and end each. Every write is repeated until it is
    answered.
    """
    for _ in range(count):
        first = new_run(events=[event()])
        for write in (first, step(first, status=SHIPPED, run_state=RunState.COMPLETED)):
            await persist(partial(store.store, [group(write)]), CLOCK, "test")


async def everything_stands_once(store: SqlStore, count: int) -> None:
    runs = await store.runs(RunQuery(workflow="orders", limit=10_000))
    assert [(run.version, run.run_state) for run in runs] == [(2, RunState.COMPLETED)] * count
    for run in runs:
        assert [entry.version for entry in await store.history(run.run_id)] == [1, 2]


async def test_a_server_killed_in_the_middle_of_work_loses_and_doubles_nothing(
    server_folder: Path,
) -> None:
    with MariaDB(server_folder) as server, server.database(f"test_{uuid4().hex}") as url:
        await asyncio.to_thread(MariadbAdapter().create, url)
        async with MariadbAdapter().open_records(url, clock=CLOCK) as store:
            await deploy(store, workflow())
            fence = await store.acquire(Role("outbox-publisher"))
            working = [asyncio.create_task(go_through(store, RUNS // 3)) for _ in range(3)]
            for _ in range(2):
                await asyncio.sleep(0.1)  # somewhere in the middle
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            await asyncio.gather(*working)
            await everything_stands_once(store, RUNS)
            while await persist(lambda: store.move(fence, limit=1000, wait=0), CLOCK, "test"):
                pass
            items = await received(store)
            assert len({item.event.run_id for item in items}) == len(items) == RUNS


async def test_connections_that_break_in_the_middle_of_work_are_replaced(
    url: str, opened: Opener
) -> None:
    async with opened() as store:
        working = asyncio.create_task(go_through(store, 50))
        broken = 0
        while not working.done():
            broken += await disconnect(url)
            await asyncio.sleep(0.05)
        await working
        assert broken > 2
        await everything_stands_once(store, 50)


async def test_connections_that_broke_while_nobody_used_them_are_replaced_unnoticed(
    url: str, opened: Opener
) -> None:
    async with opened() as store:
        fence = await acquire(store, CONSUMERS)
        await store.positions(CONSUMERS)
        assert await disconnect(url)
        await asyncio.sleep(0.1)  # the notification arrives
        await store.store([group(new_run(), fence=fence)])
        await store.positions(CONSUMERS)


# --- who serves it ------------------------------------------------------------------------------


@contextmanager
def serving(url: str) -> Generator[subprocess.Popen[bytes]]:
    """A process that has the store open exclusively."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, url], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"open\n"
        try:
            yield process
        finally:
            process.kill()


async def test_a_killed_process_lets_go_of_the_store(url: str, opened: Opener) -> None:
    with serving(url) as process:
        with pytest.raises(StoreInUse, match="another process serves it"):
            await opened(exclusive=True).__aenter__()
        process.send_signal(signal.SIGKILL)
        assert await is_free(opened, patience=5)


async def test_no_roles_are_shared_while_a_process_has_the_store_to_itself(opened: Opener) -> None:
    async with opened(exclusive=True, patience=5) as alone, opened() as beside:
        await deploy(alone, workflow())
        with pytest.raises(StoreInUse, match="to itself"):
            await beside.share("one", [Role(CONSUMERS)], [], lease=10)
        assert (await beside.activity()).is_served
    async with opened() as store:
        assert (await store.share("one", [Role(CONSUMERS)], [], lease=10)).acquired


async def test_a_second_server_of_the_store_waits_for_the_first_to_leave(opened: Opener) -> None:
    async with opened(exclusive=True):
        waiting = asyncio.create_task(is_free(opened, patience=30))
        assert not (await asyncio.wait({waiting}, timeout=0.1))[0]
    assert await asyncio.wait_for(waiting, 10)


async def test_the_lock_is_taken_again_when_its_connection_breaks(
    url: str, opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(exclusive=True) as store:
        await disconnect(url)
        async with asyncio.timeout(20):
            while "nothing but fences keeps" not in caplog.text:
                await asyncio.sleep(0.05)
            while await is_free(opened):
                await asyncio.sleep(0.05)
        assert await store.lookup([new_run().run_id]) == [None]


async def is_free(opened: Opener, *, patience: float = 0) -> bool:
    try:
        async with opened(exclusive=True, patience=patience):
            return True
    except StoreInUse:
        return False


# --- who waits ----------------------------------------------------------------------------------


async def test_who_waits_is_notified_of_another_process_within_a_moment(opened: Opener) -> None:
    run = new_run()
    async with opened() as one, opened() as other:
        waiting = asyncio.create_task(one.watch({run.run_id: Version(0)}, wait=60))
        await asyncio.sleep(0.2)
        await other.store([group(run)])
        assert [record.run_id for record in await asyncio.wait_for(waiting, 2)] == [run.run_id]
