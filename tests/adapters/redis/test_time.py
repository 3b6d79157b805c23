"""Times are by the server's clock, read in the scripts.

A process whose clock is wrong changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from msgspec.structs import replace

from workflow_ray.ports import SystemClock
from workflow_ray.records import (
    NewTimeout,
    Role,
    Timeout,
    TimeoutKey,
    Version,
    WaitingQuery,
    new_run_id,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    deploy,
    event,
    new_run,
    step,
    store_all,
    stored,
    workflow,
)
from workflow_ray_adapters.redis import RedisAdapter
from workflow_ray_adapters.redis.store import RedisStore

from .helpers import acquired

OFF = timedelta(minutes=10)


class Off(SystemClock):
    """The clock of a process whose time of day is wrong."""

    def __init__(self, by: timedelta) -> None:
        self.by = by

    def now(self) -> datetime:
        return super().now() + self.by


@pytest.fixture(params=[OFF, -OFF], ids=["ahead", "behind"])
async def wrong(request: pytest.FixtureRequest, url: str) -> AsyncIterator[RedisStore]:
    async with RedisAdapter().open_records(url, clock=Off(request.param), exclusive=False) as store:
        yield store


@pytest.fixture
async def right(url: str) -> AsyncIterator[RedisStore]:
    async with RedisAdapter().open_records(url, clock=SystemClock(), exclusive=False) as store:
        yield store


async def test_the_writes_of_a_process_have_the_servers_time(wrong: RedisStore) -> None:
    run = new_run()
    await store_all(wrong, run, step(run))
    record = await stored(wrong, run.run_id)
    for at in (
        record.created_at,
        record.updated_at,
        *(entry.at for entry in await wrong.history(run.run_id)),
    ):
        assert abs(at - datetime.now(UTC)) < OFF / 2


async def test_the_lease_of_a_process_whose_clock_is_wrong_ends_in_time(
    wrong: RedisStore, right: RedisStore
) -> None:
    await deploy(right, workflow(groups={CONSUMERS: 1}))
    assert len((await wrong.share("wrong", [Role(CONSUMERS)], [], lease=0.5)).acquired) == 1
    assert (await right.share("right", [Role(CONSUMERS)], [], lease=10)).acquired == ()
    async with asyncio.timeout(20):
        while not (await right.share("right", [Role(CONSUMERS)], [], lease=10)).acquired:
            await asyncio.sleep(0.1)


async def test_an_event_delayed_by_a_process_whose_clock_is_wrong_is_due_in_time(
    wrong: RedisStore, right: RedisStore
) -> None:
    fence = await acquired(right)
    waiting = asyncio.create_task(right.pending(fence, limit=10, wait=60))
    began = monotonic()
    await store_all(wrong, new_run(events=[event(delay=0.5)]))
    async with asyncio.timeout(20):
        assert len(await waiting) == 1
    assert monotonic() - began >= 0.5


async def test_a_process_whose_clock_is_wrong_publishes_nothing_too_early(
    wrong: RedisStore,
) -> None:
    fence = await acquired(wrong)
    await store_all(wrong, new_run(events=[event(delay=300)]))
    assert await wrong.pending(fence, limit=10, wait=0.2) == []
    assert await wrong.move(fence, limit=10, wait=0.2) == 0


async def test_a_process_whose_clock_is_wrong_takes_no_run_for_a_quiet_one(
    wrong: RedisStore,
) -> None:
    await store_all(wrong, replace(new_run(), asks=True))
    query = WaitingQuery(workflow="orders", partition=0, quiet=60)
    assert (await wrong.waiting(query)).events == ()
    assert len((await wrong.waiting(replace(query, quiet=0))).events) == 1


async def test_a_timeout_is_due_by_the_servers_clock(wrong: RedisStore) -> None:
    soon, late = (
        NewTimeout(name=name, workflow="orders", partition=0, after=after)
        for name, after in (("soon", 0.3), ("late", 300))
    )
    run = replace(new_run(), timeouts=(soon, late))
    await store_all(wrong, run)
    async with asyncio.timeout(20):
        due = await wrong.due("orders", run.status, [0], limit=10, wait=60)
    assert [timeout.key.name for timeout in due] == ["soon"]


@pytest.mark.parametrize("seconds", [0.0, 0.000001, 59.999999, 86_400 * 365 * 100])
async def test_times_are_added_to_the_microsecond(url: str, seconds: float) -> None:
    at = datetime(2029, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    clock = FakeClock(at)
    async with RedisAdapter().open_records(url, clock=clock, exclusive=False) as store:
        run = replace(
            new_run(),
            timeouts=(NewTimeout(name="t", workflow="orders", partition=0, after=seconds),),
        )
        await store_all(store, run)
        clock.jump(at + timedelta(seconds=seconds))
        (due,) = await store.due("orders", run.status, [0], limit=10, wait=0)
        assert due.due_at == at + timedelta(seconds=seconds)


async def test_a_time_before_1970_is_kept(store: RedisStore) -> None:
    timeout = Timeout(
        key=TimeoutKey(new_run_id(), Version(1), "t"),
        workflow="orders",
        status=1,
        partition=0,
        due_at=datetime(1, 1, 1, tzinfo=UTC),
    )
    await store.create([timeout])
    assert await store.due("orders", 1, [0], limit=10, wait=0) == [timeout]
