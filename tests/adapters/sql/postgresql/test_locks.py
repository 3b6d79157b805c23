"""Which process serves a store, and which use it beside that one."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from workflow_ray.errors import StoreInUse
from workflow_ray.records import CONSUMER, Role
from workflow_ray.testing.conformance.runs import acquire, deploy, workflow
from workflow_ray_adapters.sql.postgresql import watch

from .conftest import Opener, Sql

SERVE = """
import asyncio, sys
from workflow_ray.ports import SystemClock
from workflow_ray_adapters.sql import PostgresqlAdapter

async def serve() -> None:
    async with PostgresqlAdapter().open_records(sys.argv[1], clock=SystemClock()):
        print("open", flush=True)
        await asyncio.Event().wait()

asyncio.run(serve())
"""


async def test_a_store_has_one_server(opened: Opener) -> None:
    async with opened(exclusive=True):
        with pytest.raises(StoreInUse, match="another process serves it"):
            await opened(exclusive=True, patience=0.05).__aenter__()


async def test_a_store_that_was_left_is_free_at_once(opened: Opener) -> None:
    for _ in range(5):
        async with opened(exclusive=True):
            pass


async def test_a_second_server_waits_for_the_first_to_leave(opened: Opener) -> None:
    async def second() -> str:
        async with opened(exclusive=True, patience=60) as store:
            return store.store_id

    async with opened(exclusive=True) as first:
        waiting = asyncio.create_task(second())
        assert not (await asyncio.wait({waiting}, timeout=0.2))[0]
    assert await waiting == first.store_id


async def test_a_server_that_gave_up_waiting_holds_nothing(opened: Opener) -> None:
    async with opened(exclusive=True):
        waiting = asyncio.ensure_future(opened(exclusive=True, patience=60).__aenter__())
        assert not (await asyncio.wait({waiting}, timeout=0.2))[0]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with opened(exclusive=True):
        pass


async def test_a_killed_server_lets_go(url: str, opened: Opener) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, url], stdout=subprocess.PIPE, env=environment
    ) as server:
        assert server.stdout
        assert server.stdout.readline() == b"open\n"
        with pytest.raises(StoreInUse):
            await opened(exclusive=True).__aenter__()
        server.send_signal(signal.SIGKILL)
    async with opened(exclusive=True, patience=5):
        pass


async def test_the_lock_is_taken_again_when_its_connection_was_lost(
    opened: Opener, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL", 0.01)
    async with opened(exclusive=True):
        before = await holder(sql)
        await sql(f"SELECT pg_terminate_backend({before})")
        while await holder(sql) in (None, before):
            pass
        with pytest.raises(StoreInUse):
            await opened(exclusive=True).__aenter__()


async def holder(sql: Sql) -> int | None:
    """Return the server's process that holds the lock."""
    found: int | None = await sql(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
    )
    return found


async def test_roles_are_not_shared_while_another_process_serves_the_store(opened: Opener) -> None:
    async with opened(exclusive=True), opened() as beside:
        with pytest.raises(StoreInUse):
            await beside.share("member", [Role(CONSUMER)], [], lease=30)
        assert (await beside.activity()).is_served


async def test_a_role_acquired_while_others_deploy_is_not_reported_as_retired(
    opened: Opener,
) -> None:
    async with opened() as deploying, opened() as taking:
        first = await acquire(taking)
        for deploys in range(1, 21):
            _, fence = await asyncio.gather(deploy(deploying, workflow()), acquire(taking))
            assert fence.epoch == first.epoch + deploys
