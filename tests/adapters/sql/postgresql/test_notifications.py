"""How processes notify each other: after their commits, by a connection that proves that
notifications arrive.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import text

from tests.servers import Postgres
from workflow_ray.ports import SystemClock
from workflow_ray.records import Version
from workflow_ray.testing.conformance.runs import new_run, store_all
from workflow_ray_adapters.sql import PostgresqlAdapter, changes
from workflow_ray_adapters.sql.postgresql import watch
from workflow_ray_adapters.sql.postgresql.connections import autocommit_engine
from workflow_ray_adapters.sql.postgresql.url import parse_target
from workflow_ray_adapters.sql.postgresql.watch import Watch
from workflow_ray_adapters.sql.store import SqlStore

from .conftest import Opener, Sql

T = TypeVar("T")
LONG = 60.0
SOON = 5.0


@pytest.fixture(autouse=True)
def _nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poll beneath the notifications never comes."""
    monkeypatch.setattr(watch, "POLL", 3600.0)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A list that grows with every poll."""
    looks, look = list[object](), changes.read

    def counting(*args: Any, **kwargs: Any) -> Any:
        looks.append(args)
        return look(*args, **kwargs)

    monkeypatch.setattr(changes, "read", counting)
    return looks


def watch_of(store: SqlStore) -> Watch:
    database: Any = store._database  # pyright: ignore[reportPrivateUsage]  # its connection is what is tried
    watch: Watch = database._watch
    return watch


async def waits(call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start the call as a task, and check that it waits."""
    waiting = asyncio.create_task(call)
    assert not (await asyncio.wait({waiting}, timeout=0.3))[0]
    return waiting


async def test_commits_wait_for_nobodys_notification(server_folder: Path) -> None:
    """A transaction that notifies holds a lock until it is committed. This one never is, because
    the server has no standby.
    """
    settings = {"synchronous_standby_names": "nobody", "synchronous_commit": "local"}
    with Postgres(server_folder, settings) as server, server.database("shop") as url:
        await asyncio.to_thread(PostgresqlAdapter().create, url)
        async with PostgresqlAdapter().open_records(
            url, clock=SystemClock(), exclusive=False
        ) as store:
            driver: Any
            async with autocommit_engine(parse_target(url)).connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                await driver.execute("SET synchronous_commit = on")
                notifying = asyncio.create_task(driver.execute("CREATE TABLE t (); NOTIFY other"))
                while not await _waits_for_a_standby(url):
                    await asyncio.sleep(0.01)
                async with asyncio.timeout(SOON):
                    await store_all(store, new_run())
                assert not notifying.done()
                driver.terminate()
                await asyncio.gather(notifying, return_exceptions=True)
                await connection.invalidate()


async def _waits_for_a_standby(url: str) -> bool:
    async with autocommit_engine(parse_target(url)).connect() as connection:
        return bool(
            await connection.scalar(
                text("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            )
        )


async def test_what_others_write_to_the_database_makes_nobody_read(
    opened: Opener, sql: Sql, looks: list[object]
) -> None:
    run = new_run()
    async with opened() as store:
        waiting = await waits(store.watch({run.run_id: Version(0)}, wait=LONG))
        looks.clear()
        await sql("CREATE TABLE other AS SELECT generate_series(1, 10000) AS number")
        await asyncio.sleep(0.3)
        assert looks == []
        waiting.cancel()


async def test_a_notification_that_is_lost_is_made_up_for_by_a_poll(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, looks: list[object]
) -> None:
    """As when a process dies between its commit and its notification."""
    monkeypatch.setattr(watch, "POLL", 0.1)
    run = new_run()
    async with opened() as here, opened() as there:
        monkeypatch.setattr(Watch, "tell", _nothing)
        waiting = await waits(here.watch({run.run_id: Version(0)}, wait=LONG))
        await store_all(there, run)
        (record,) = await asyncio.wait_for(waiting, SOON)
        assert (record.run_id, bool(looks)) == (run.run_id, True)


async def test_notifications_that_arrive_do_not_put_off_the_poll_for_one_that_was_lost(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL", 0.3)
    run = new_run()
    async with opened() as here, opened() as there, opened() as others:
        monkeypatch.setattr(watch_of(there), "tell", _nothing)
        waiting = await waits(here.watch({run.run_id: Version(0)}, wait=LONG))
        await store_all(there, run)
        async with asyncio.timeout(SOON):
            while not waiting.done():
                await store_all(others, new_run())
                await asyncio.sleep(0.01)
        assert [record.run_id for record in await waiting] == [run.run_id]


def _nothing(*_: object) -> None: ...


async def test_where_notifications_do_not_arrive_it_is_polled(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As through a pooler that gives each transaction another connection."""
    monkeypatch.setattr(watch, "TEST", 0.1)
    monkeypatch.setattr(watch, "ARRIVAL", 0.1)
    run = new_run()
    async with opened() as here, opened() as there:
        driver: Any = (await watch_of(here)._connection.get_raw_connection()).driver_connection  # pyright: ignore[reportPrivateUsage]
        with caplog.at_level(logging.WARNING):
            await driver.execute("UNLISTEN *")
            while "notifications don't arrive" not in caplog.text:
                await asyncio.sleep(0.02)
        waiting = await waits(here.watch({run.run_id: Version(0)}, wait=LONG))
        await store_all(there, run)
        (record,) = await asyncio.wait_for(waiting, SOON)
        assert record.run_id == run.run_id


async def test_commits_during_a_notification_are_notified_together(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, runs, all_stored = Counter[str](), [new_run() for _ in range(100)], asyncio.Event()
    async with opened() as here, opened() as there:
        send = watch_of(there)._send  # pyright: ignore[reportPrivateUsage]

        async def counting() -> None:
            sent["notifications"] += 1
            if sent["notifications"] == 1:
                await all_stored.wait()
            await send()

        monkeypatch.setattr(watch_of(there), "_send", counting)
        waiting = [
            await waits(here.watch({run.run_id: Version(0)}, wait=LONG)) for run in runs[-3:]
        ]
        for run in runs:
            await store_all(there, run)
        all_stored.set()
        async with asyncio.timeout(SOON):
            await asyncio.gather(*waiting)
    assert 1 <= sent["notifications"] <= 2


async def test_who_was_cut_off_from_notifications_reads_when_they_are_back(
    opened: Opener, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "TEST", 0.05)  # until it is noticed
    monkeypatch.setattr(watch, "RECONNECT", 0.05)
    run = new_run()
    async with opened() as here, opened() as there:
        waiting = await waits(here.watch({run.run_id: Version(0)}, wait=LONG))
        await sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_notify%'"
            " AND pid <> pg_backend_pid()"
        )
        await store_all(there, run)
        (record,) = await asyncio.wait_for(waiting, LONG)
        assert record.run_id == run.run_id


async def test_no_unexpected_error_ends_the_connection_that_listens(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "RECONNECT", 0.05)
    run = new_run()
    async with opened() as here, opened() as there:
        keeping = watch_of(here)
        monkeypatch.setattr(keeping, "_something", _failing_once(keeping._something))  # pyright: ignore[reportPrivateUsage]
        with caplog.at_level(logging.WARNING):
            keeping._channel.has_something.set()  # pyright: ignore[reportPrivateUsage]
            while "a bug" not in caplog.text:
                await asyncio.sleep(0.02)
        waiting = await waits(here.watch({run.run_id: Version(0)}, wait=LONG))
        await store_all(there, run)
        assert await asyncio.wait_for(waiting, SOON)
        assert "Traceback" in caplog.text


def _failing_once(something: Any) -> Any:
    failures: Iterator[Exception] = iter([ZeroDivisionError("a bug")])

    async def failing(wait: float) -> bool:
        answer: bool = await something(wait)
        for error in failures:
            raise error
        return answer

    return failing
