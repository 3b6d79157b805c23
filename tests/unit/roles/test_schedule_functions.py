"""A schedule's function makes the data of its runs. If it fails, its tick waits or is skipped."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Stage
from tests.unit.roles.hourly import HOUR, Scheduled, lines, scheduled
from workflow_ray.roles.scheduler import DEATHS


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_function_may_be_plain_or_async_and_gets_the_tick(is_async: bool) -> None:
    got = list[datetime]()

    async def ask(tick: datetime) -> Parcel:
        got.append(tick)
        return Parcel()

    def look(tick: datetime) -> Parcel:
        got.append(tick)
        return Parcel()

    async with Scheduled(scheduled(ask if is_async else look)) as bench:
        await bench.scheduler()
        await bench.pass_time(HOUR)
        async with asyncio.timeout(10):
            while not await bench.records():
                await asyncio.sleep(0)
    assert got == [datetime(2030, 1, 1, 1, tzinfo=UTC)]


async def test_a_tick_without_data_starts_no_run() -> None:
    async def seldom(tick: datetime) -> Parcel | None:
        return None if tick.hour % 2 else Parcel()

    async with Scheduled(scheduled(seldom)) as bench:
        await bench.scheduler()
        await bench.pass_time(4 * HOUR)
        assert await bench.ticks() == ["02:00", "04:00"]


async def test_a_function_that_raises_is_called_again_and_later_ticks_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls = list[datetime]()

    async def failing(tick: datetime) -> Parcel:
        calls.append(tick)
        if len(calls) < 4:
            raise ValueError("no stock")
        return Parcel()

    async with Scheduled(scheduled(failing)) as bench:
        await bench.scheduler()
        await bench.pass_time(HOUR + 6)
        assert await bench.ticks() == []
        await bench.pass_time(2)
        assert await bench.ticks() == ["01:00"]
    assert {tick.hour for tick in calls} == {1}
    assert lines(caplog)[1] == (
        "parcels: schedule 'hourly' failed for the tick 2030-01-01T01:00:00Z (attempt 2):"
        " ValueError: no stock. Its function is called again in 2 s; later ticks wait"
    )


async def test_a_tick_that_keeps_failing_is_skipped_when_it_is_older_than_the_window() -> None:
    async def at_one(tick: datetime) -> Parcel:
        if tick.hour == 1:
            raise ValueError("no stock")
        return Parcel()

    async with Scheduled(scheduled(at_one, catch_up=HOUR / 2)) as bench:
        await bench.scheduler()
        await bench.pass_time(2 * HOUR)
        assert await bench.ticks() == ["02:00"]


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
async def test_a_function_can_end_neither_the_role_nor_the_process(error: BaseException) -> None:
    errors = [error]

    async def ending(tick: datetime) -> Parcel:
        if errors:
            raise errors.pop()
        return Parcel()

    async with Scheduled(scheduled(ending)) as bench:
        await bench.scheduler()
        await bench.pass_time(HOUR + 2)
        assert await bench.ticks() == ["01:00"]


async def test_data_of_another_kind_fails_the_tick(caplog: pytest.LogCaptureFixture) -> None:
    async def wrong(tick: datetime) -> Any:
        return {"weight": 1}

    async with Scheduled(scheduled(wrong)) as bench:
        await bench.scheduler()
        await bench.pass_time(HOUR)
        assert await bench.ticks() == []
    assert "InvalidInput" in lines(caplog)[0]


async def test_a_timeout_of_the_start_that_can_not_be_set_fails_the_tick(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workflow = scheduled()

    def broken(run: ParcelRun) -> datetime:
        raise ValueError("no calendar")

    @workflow.timeout(Stage.NEW, at=broken)
    async def late(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    async with Scheduled(workflow) as bench:
        scheduler = await bench.scheduler()
        await bench.pass_time(HOUR)
        assert await bench.ticks() == []
        await scheduler.leave()
    assert "failed for the tick" in lines(caplog)[0]
    assert "no calendar" in lines(caplog)[0]


async def test_a_function_that_ends_its_process_is_called_a_few_times_for_a_tick(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls = list[datetime]()

    async def deadly(tick: datetime) -> Parcel:
        calls.append(tick)
        if tick.hour == 1:
            await asyncio.Event().wait()
        return Parcel()

    async with Scheduled(scheduled(deadly)) as bench:
        for _ in range(DEATHS):
            holder = await bench.scheduler()
            await bench.pass_time(HOUR)
            bench.store.away = True  # nothing more is written by a process that dies
            await holder.kill()
            bench.store.away = False
        assert [tick.hour for tick in calls] == [1] * DEATHS
        await bench.scheduler()
        await bench.pass_time()
        assert await bench.ticks() == ["02:00", "03:00"]
    assert "because 3 processes have ended while its function ran" in lines(caplog)[0]


async def test_an_orderly_stop_does_not_count_as_the_end_of_a_process() -> None:
    waiting = [asyncio.Event() for _ in range(2 * DEATHS)]

    async def slow(tick: datetime) -> Parcel:
        if waiting:
            await waiting.pop().wait()
        return Parcel()

    async with Scheduled(scheduled(slow)) as bench:
        await (await bench.scheduler()).leave()
        await bench.pass_time(HOUR)
        for _ in range(2 * DEATHS):
            holder = await bench.scheduler()
            await bench.pass_time(1)
            await holder.abandon()
        assert waiting == []
        await bench.scheduler()
        assert await bench.ticks() == ["01:00"]
