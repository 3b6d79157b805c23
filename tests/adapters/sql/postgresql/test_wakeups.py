"""What processes tell each other when they commit, so that nobody who waits has to look."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest

from workflow_ray.records import RunState, Version
from workflow_ray.testing.conformance.runs import CREATED_TOPIC, START, event, new_run, step, store_all, take
from workflow_ray_adapters.sql.postgresql import watch
from workflow_ray_adapters.sql.server.database import ServerDatabase
from workflow_ray_adapters.sql.session import Session

from .conftest import Opener, Sql

T = TypeVar("T")
LONG = 60.0


@pytest.fixture(autouse=True)
def _nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poll beneath the hints never comes."""
    monkeypatch.setattr(watch, "POLL", 3600.0)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows with every transaction that reads."""
    looks, read = list[object](), ServerDatabase.read

    async def counting(self: ServerDatabase, work: Callable[[Session], T]) -> T:
        looks.append(work)
        return await read(self, work)

    monkeypatch.setattr(ServerDatabase, "read", counting)
    return looks


async def waits(call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """The call as a task that waits, as it should."""
    waiting = asyncio.create_task(call)
    assert not (await asyncio.wait({waiting}, timeout=0.2))[0]
    return waiting


async def told(call: Coroutine[Any, Any, T], cause: Callable[[], Awaitable[object]]) -> T:
    """What a call that waits returns when another process does something."""
    waiting = await waits(call)
    await cause()
    return await asyncio.wait_for(waiting, LONG / 10)


async def test_a_run_that_another_process_writes_wakes_who_watches_it(opened: Opener) -> None:
    run = new_run()
    async with opened() as here, opened() as there:
        (record,) = await told(here.watch({run.run_id: Version(0)}, wait=LONG), lambda: store_all(there, run))
        assert record.run_id == run.run_id


async def test_the_end_of_a_run_wakes_who_waits_for_it_and_its_other_versions_do_not(opened: Opener, looks: list[object]) -> None:
    begun = new_run()
    going_on = step(begun)
    async with opened() as here, opened() as there:
        await store_all(there, begun)
        waiting = await waits(here.watch({begun.run_id: Version(1)}, wait=LONG, at_rest=True))
        looks.clear()
        await store_all(there, going_on)
        await store_all(there, step(going_on, run_state=RunState.COMPLETED))
        (record,) = await waiting
        assert (record.version, len(looks)) == (3, 1)


async def test_events_that_another_process_publishes_wake_who_receives(opened: Opener) -> None:
    async with opened() as here, opened() as there:
        fence = await take(there)

        async def publish() -> None:
            await store_all(there, new_run(events=[event()]))
            await there.move(fence, limit=10, wait=0)

        for expected in (1, 2):  # the second time it is known that nothing follows
            items = await told(here.receive(CREATED_TOPIC, {**START, 0: expected - 1}, limit=10, wait=LONG), publish)
            assert len(items) == 1


async def test_an_entry_that_another_process_adds_wakes_the_publisher(opened: Opener) -> None:
    async with opened() as here, opened() as there:
        fence = await take(here)
        entries = await told(here.pending(fence, limit=10, wait=LONG), lambda: store_all(there, new_run(events=[event()])))
        assert len(entries) == 1
        moving = asyncio.create_task(here.move(fence, limit=10, wait=LONG))
        await there.receive(CREATED_TOPIC, {0: 0}, limit=10, wait=LONG)
        await told(there.receive(CREATED_TOPIC, {0: 1}, limit=10, wait=LONG), lambda: store_all(there, new_run(events=[event()])))
        moving.cancel()


async def test_more_than_a_message_can_tell_wakes_too(opened: Opener) -> None:
    runs = [new_run() for _ in range(500)]
    async with opened() as here, opened() as there:
        (record,) = await told(here.watch({runs[300].run_id: Version(0)}, wait=LONG), lambda: store_all(there, *runs))
        assert record.run_id == runs[300].run_id


async def test_who_waits_for_something_else_sleeps_on(opened: Opener, looks: list[object]) -> None:
    run, other = new_run(), new_run()
    async with opened() as here, opened() as there:
        for_run = await waits(here.watch({run.run_id: Version(0)}, wait=LONG))
        for_other = await waits(here.watch({other.run_id: Version(0)}, wait=LONG))
        looks.clear()
        await store_all(there, other)
        await for_other
        assert len(looks) == 1
        await store_all(there, run)
        await for_run
        assert len(looks) == 2


async def test_who_was_cut_off_from_all_hints_looks_again_when_they_are_back(
    opened: Opener, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL", 0.05)  # until it is noticed
    run = new_run()
    async with opened() as here, opened() as there:
        waiting = await waits(here.watch({run.run_id: Version(0)}, wait=LONG))
        await sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%wal_insert%' AND pid <> pg_backend_pid()")
        await store_all(there, run)
        (record,) = await waiting
        assert record.run_id == run.run_id
