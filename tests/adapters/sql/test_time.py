"""Times are by the store's clock, read inside its statements. A process whose clock is wrong
changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from workflow_ray.ports import SystemClock
from workflow_ray.records import PUBLISHER, NewTimeout, Role, Timeout, WaitingQuery
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    deploy,
    event,
    new_run,
    store_all,
    workflow,
)
from workflow_ray_adapters.sql.store import SqlStore

from .stores import opened

AHEAD = timedelta(minutes=10)


class Ahead(SystemClock):
    """The clock of a process whose time of day is ten minutes ahead."""

    def now(self) -> datetime:
        return super().now() + AHEAD


@pytest.fixture
async def ahead(each_url: str) -> AsyncIterator[SqlStore]:
    async with opened(each_url, Ahead()) as store:
        yield store


@pytest.fixture
async def right(each_url: str) -> AsyncIterator[SqlStore]:
    async with opened(each_url, SystemClock()) as store:
        yield store


async def test_what_a_process_writes_has_the_stores_time(ahead: SqlStore) -> None:
    run = new_run()
    await store_all(ahead, run)
    (record,) = await ahead.lookup([run.run_id])
    assert record is not None
    assert abs(record.created_at - datetime.now(UTC)) < AHEAD / 2


async def test_a_lease_of_a_process_whose_clock_is_ahead_ends_in_time(
    ahead: SqlStore, right: SqlStore
) -> None:
    await deploy(right, workflow(groups={CONSUMERS: 1}))
    assert len((await ahead.share("ahead", [Role(CONSUMERS)], [], lease=0.5)).acquired) == 1
    async with asyncio.timeout(20):
        while not (await right.share("right", [Role(CONSUMERS)], [], lease=10)).acquired:
            await asyncio.sleep(0.1)


async def test_an_event_that_a_process_whose_clock_is_ahead_delays_gets_due_in_time(
    ahead: SqlStore, right: SqlStore
) -> None:
    await deploy(right, workflow())
    fence = await right.acquire(Role(PUBLISHER))
    waiting = asyncio.create_task(right.pending(fence, limit=10, wait=60))
    began = right._clock.monotonic()  # pyright: ignore[reportPrivateUsage]
    await store_all(ahead, new_run(events=[event(delay=0.5)]))
    async with asyncio.timeout(20):
        assert len(await waiting) == 1
    assert right._clock.monotonic() - began >= 0.5  # pyright: ignore[reportPrivateUsage]


async def test_a_process_whose_clock_is_ahead_publishes_nothing_too_early(ahead: SqlStore) -> None:
    await deploy(ahead, workflow())
    fence = await ahead.acquire(Role(PUBLISHER))
    await store_all(ahead, new_run(events=[event(delay=300)]))
    assert await ahead.pending(fence, limit=10, wait=0.2) == []
    assert await ahead.move(fence, limit=10, wait=0.2) == 0


async def test_a_process_whose_clock_is_ahead_takes_no_run_for_a_quiet_one(ahead: SqlStore) -> None:
    await store_all(ahead, replace(new_run(), asks=True))
    query = WaitingQuery(workflow="orders", partition=0, quiet=60)
    assert (await ahead.waiting(query)).events == ()
    assert len((await ahead.waiting(replace(query, quiet=0))).events) == 1


async def test_a_timeout_is_due_by_the_stores_clock(ahead: SqlStore) -> None:
    soon, late = (
        NewTimeout(name=name, workflow="orders", partition=0, after=after)
        for name, after in (("soon", 0.3), ("late", 300))
    )
    run = replace(new_run(), timeouts=(soon, late))
    await store_all(ahead, run)
    async with asyncio.timeout(20):
        due: list[Timeout] = await ahead.due("orders", run.status, [0], limit=10, wait=60)
    assert [timeout.key.name for timeout in due] == ["soon"]
