"""Which process serves a file, which use it beside that one, and what they see of each other."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from workflow_ray.errors import StoreInUse, StoreUnavailable
from workflow_ray.records import PUBLISHER, Committed, Fenced, Role, Version
from workflow_ray.testing.conformance.runs import (
    CREATED_TOPIC,
    START,
    acquire,
    deploy,
    event,
    group,
    new_run,
    store_all,
    workflow,
)
from workflow_ray_adapters.sql import SqliteAdapter, writes
from workflow_ray_adapters.sql.sqlite import connections, database

from .conftest import Opener

SERVE = """
import asyncio, sys
from workflow_ray.ports import SystemClock
from workflow_ray_adapters.sql import SqliteAdapter, writes

async def serve() -> None:
    async with SqliteAdapter().open_records(sys.argv[1], clock=SystemClock()):
        print("open", flush=True)
        await asyncio.Event().wait()

asyncio.run(serve())
"""


async def test_a_file_has_one_server(store_id: str, opened: Opener) -> None:
    async with opened():
        with pytest.raises(StoreInUse, match="another process serves it"):
            await opened(patience=0.05).__aenter__()


async def test_whoever_opens_a_file_sees_whether_it_has_a_server(
    store_id: str, opened: Opener
) -> None:
    async with opened(exclusive=False) as beside:
        async with opened() as server:
            assert (await beside.activity()).is_served
            assert (await server.activity()).is_served
        assert not (await beside.activity()).is_served


async def test_a_second_server_waits_for_the_first_to_leave(store_id: str, opened: Opener) -> None:
    async def second() -> str:
        async with opened(patience=60) as store:
            return store.store_id

    async with opened():
        waiting = asyncio.create_task(second())
        assert not (await asyncio.wait({waiting}, timeout=0.05))[0]
    assert await waiting == store_id


async def test_a_server_that_gave_up_waiting_holds_nothing(store_id: str, opened: Opener) -> None:
    async with opened():
        waiting = asyncio.ensure_future(opened(patience=60).__aenter__())
        assert not (await asyncio.wait({waiting}, timeout=0.05))[0]
        waiting.cancel()
    async with opened():
        pass


async def test_a_killed_server_lets_go(url: str, store_id: str, opened: Opener) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, url], stdout=subprocess.PIPE, env=environment
    ) as server:
        assert server.stdout
        assert server.stdout.readline() == b"open\n"
        with pytest.raises(StoreInUse):
            await opened().__aenter__()
        server.send_signal(signal.SIGKILL)
    async with opened():
        pass


async def test_a_forked_child_does_not_keep_the_lock_of_a_server_that_died(
    url: str, store_id: str, opened: Opener
) -> None:
    """As the child of a process pool in a step."""
    forking = SERVE.replace(
        'print("open", flush=True)', "child = os.fork() or time.sleep(60); print(child, flush=True)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", f"import os, time\n{forking}", url],
        stdout=subprocess.PIPE,
        env=environment,
    ) as server:
        assert server.stdout
        child = int(server.stdout.readline())
        server.send_signal(signal.SIGKILL)
        server.wait()
        try:
            async with opened(patience=1):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


async def test_a_served_store_can_be_created_again(url: str, store_id: str, opened: Opener) -> None:
    async with opened():
        assert SqliteAdapter().create(url) == store_id


async def test_the_lock_file_stays(path: Path, store_id: str, opened: Opener) -> None:
    async with opened():
        pass
    assert path.with_name("runs.db.lock").exists()


async def test_a_client_beside_the_server_wakes_who_waits_there(
    store_id: str, opened: Opener
) -> None:
    run = new_run(events=[event()])
    async with opened() as server, opened(exclusive=False) as client:
        await deploy(server, workflow())
        fence = await server.acquire(Role(PUBLISHER))
        seen = asyncio.create_task(server.watch({run.run_id: Version(0)}, wait=60))
        moved = asyncio.create_task(server.move(fence, limit=10, wait=60))
        await store_all(client, run)
        (record,) = await seen
        assert record.run_id == run.run_id
        arrivals = await client.receive(CREATED_TOPIC, START, reader="client", limit=10, wait=60)
        assert [item.event.run_id for item in arrivals.events] == [run.run_id]
        moved.cancel()


async def test_an_epoch_raised_by_another_process_refuses_the_next_write(
    store_id: str, opened: Opener
) -> None:
    async with opened() as old, opened(exclusive=False) as new:
        fence = await acquire(old)
        newer = await new.acquire(Role(PUBLISHER))
        assert await old.store([group(new_run(), fence=fence)]) == [Fenced(fence.role, newer.epoch)]


async def test_an_epoch_rises_only_before_or_after_a_transaction_that_checks_it(
    path: Path, store_id: str, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, go_on, apply = threading.Event(), threading.Event(), writes.apply

    def held(*batch: Any) -> None:
        """The fence was checked, and nothing is written yet."""
        checked.set()
        go_on.wait()
        apply(*batch)

    monkeypatch.setattr(writes, "apply", held)
    # a thread is held up, and not this loop
    monkeypatch.setattr(database.SqliteDatabase, "_is_idle", Mock(return_value=False))
    async with opened() as old, opened(exclusive=False) as new:
        fence = await acquire(old)
        storing = asyncio.create_task(old.store([group(new_run(), fence=fence)]))
        await asyncio.to_thread(checked.wait)
        acquiring = asyncio.create_task(new.acquire(Role(PUBLISHER)))
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")  # raising the epoch begins with this
            assert other.execute("SELECT epoch FROM fences").fetchall() == [(fence.epoch,)]
        go_on.set()
        ((answer,), newer) = (await storing, await acquiring)
        assert isinstance(answer, Committed)
        assert newer.epoch == fence.epoch + 1
        assert await old.store([group(new_run(), fence=fence)]) == [Fenced(fence.role, newer.epoch)]


async def test_another_programs_long_transaction_makes_the_store_unavailable(
    path: Path, store_id: str, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.05)
    async with opened() as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="write lock"):
                await store_all(store, new_run())
        await store_all(store, new_run())


async def test_another_programs_transaction_holds_up_writes_and_not_the_event_loop(
    path: Path, store_id: str, opened: Opener
) -> None:
    async with opened() as store:
        # from here on small transactions are done between turns of the loop
        await deploy(store, workflow())
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            storing = asyncio.create_task(store.store([group(new_run())]))
            await asyncio.wait([storing], timeout=0.1)
            other.execute("ROLLBACK")
        (stored,) = await storing
        assert isinstance(stored, Committed)
