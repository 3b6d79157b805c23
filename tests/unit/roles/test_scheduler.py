"""The scheduler starts one run for each tick, whatever becomes of its holder, and in order."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import pytest

from tests.unit.bench import AtWork, Bench
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray.engine.schedules import moment_of
from workflow_ray.errors import RoleLost
from workflow_ray.records import (
    Position,
    Record,
    Role,
    RunQuery,
    RunState,
    WriteGroup,
    scheduler_group,
)
from workflow_ray.roles.scheduler import DEATHS

HOUR = 3600.0
GROUP = scheduler_group("parcels", "hourly")
Overlap = Literal["skip", "queue", "allow"]
Function = Callable[[datetime], Any]


async def labelled(tick: datetime) -> Parcel:
    return Parcel(label=tick.isoformat())


def scheduled(
    function: Function = labelled,
    *,
    overlap: Overlap = "allow",
    catch_up: float = 24 * HOUR,
    jitter: float = 0.0,
) -> Parcels:
    """A workflow with an hourly schedule. Its runs stay at NEW until a test cancels them."""
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    workflow.schedule("hourly", every=HOUR, overlap=overlap, catch_up=catch_up, jitter=jitter)(
        function
    )
    return workflow


class Scheduled(Bench):
    """A workflow whose ticks are due at full hours. The time is 00:00 at first."""

    async def scheduler(self) -> AtWork:
        return await self.start(Role(GROUP))

    async def records(self) -> list[Record]:
        """All runs, the oldest first."""
        return await self.store.runs(RunQuery(workflow="parcels"))

    async def ticks(self) -> list[str]:
        """The hours of the ticks that have started a run, in the order of their starts."""
        return [record.foreign_id[-9:-4] for record in await self.records()]

    async def up_to(self) -> datetime:
        """The moment up to which all ticks are done."""
        (position,) = await self.store.positions(GROUP)
        return moment_of(position.offset)

    async def pause(self, *schedules: str) -> None:
        current = await self.store.deployment()
        workflows = [msgspec.structs.replace(one, paused=schedules) for one in current.workflows]
        await self.store.deploy(current.version, workflows)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.endswith("scheduler")]


# --- ticks --------------------------------------------------------------------------------------


async def test_a_new_schedule_begins_now_and_each_tick_starts_one_run() -> None:
    async with Scheduled(scheduled()) as bench:
        await bench.pass_time(HOUR / 2)
        await bench.scheduler()
        assert await bench.ticks() == []
        await bench.pass_time(3 * HOUR)
        assert await bench.ticks() == ["01:00", "02:00", "03:00"]


async def test_a_run_has_the_data_of_its_tick_and_says_who_started_it() -> None:
    async with Scheduled(scheduled()) as bench:
        await bench.scheduler()
        await bench.pass_time(HOUR)
        (record,) = await bench.records()
        (entry,) = await bench.store.history(record.run_id)
    assert record.foreign_id == "hourly-2030-01-01T01:00:00Z"
    assert b"2030-01-01T01:00:00+00:00" in record.data
    assert entry.by == f"{GROUP}-1-of-1"


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


async def test_jitter_delays_the_start_and_not_the_tick() -> None:
    async with Scheduled(scheduled(jitter=HOUR)) as bench:
        await bench.scheduler()
        await bench.pass_time(HOUR)
        assert await bench.ticks() == []
        await bench.pass_time(HOUR)
        (record, *_) = await bench.records()
    assert record.foreign_id == "hourly-2030-01-01T01:00:00Z"
    assert record.created_at > datetime(2030, 1, 1, 1, tzinfo=UTC)


# --- exactly one run for each tick --------------------------------------------------------------


async def test_the_next_holder_goes_on_where_the_last_one_was() -> None:
    async with Scheduled(scheduled()) as bench:
        first = await bench.scheduler()
        await bench.pass_time(2 * HOUR)
        await first.leave()
        await bench.pass_time(2 * HOUR)
        await bench.scheduler()
        await bench.pass_time(HOUR)
        assert await bench.ticks() == ["01:00", "02:00", "03:00", "04:00", "05:00"]


async def test_two_holders_at_once_start_one_run_for_each_tick() -> None:
    async with Scheduled(scheduled()) as bench:
        first = await bench.scheduler()
        await bench.scheduler()  # acquires the role; the first one does not know it yet
        await bench.pass_time(3 * HOUR)
        assert await bench.ticks() == ["01:00", "02:00", "03:00"]
        with pytest.raises(RoleLost):
            await first.task


async def test_a_holder_that_is_fenced_off_in_its_function_starts_nothing() -> None:
    called, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tick: datetime) -> Parcel:
        called.set()
        await go_on.wait()
        return await labelled(tick)

    async with Scheduled(scheduled(slow)) as bench:
        first = await bench.scheduler()
        await bench.pass_time(HOUR)
        await called.wait()
        await bench.scheduler()
        go_on.set()
        with pytest.raises(RoleLost):
            await first.task
        await bench.pass_time()
        assert await bench.ticks() == ["01:00"]


async def test_an_answer_that_is_lost_starts_no_second_run() -> None:
    async with Scheduled(scheduled()) as bench:
        await bench.scheduler()
        bench.store.lose_answers = 3
        await bench.pass_time(2 * HOUR)
        assert await bench.ticks() == ["01:00", "02:00"]


async def test_a_position_that_lags_behind_starts_no_second_run() -> None:
    async with Scheduled(scheduled()) as bench:
        first = await bench.scheduler()
        await bench.pass_time(2 * HOUR)
        await first.leave()
        groups = [
            msgspec.structs.replace(group, positions=(), fence=None) for group in bench.store.groups
        ]
        again = Scheduled(scheduled(), clock=bench.clock)
        async with again:  # another store with the runs, and with the position from before them
            at = moment_of(bench.store.groups[0].positions[0].offset)
            assert at == datetime(2030, 1, 1, tzinfo=UTC)
            await again.store.store(
                [*groups, WriteGroup(positions=bench.store.groups[0].positions)]
            )
            await again.scheduler()
            await again.pass_time(HOUR)
            assert await again.ticks() == ["01:00", "02:00", "03:00"]


# --- catching up --------------------------------------------------------------------------------


async def test_ticks_within_the_catch_up_window_are_run_in_order_and_older_ones_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Scheduled(scheduled(catch_up=2 * HOUR)) as bench:
        first = await bench.scheduler()
        await bench.pass_time(HOUR)
        await first.leave()
        await bench.pass_time(6 * HOUR)
        await bench.scheduler()
        assert await bench.ticks() == ["01:00", "05:00", "06:00", "07:00"]
    assert lines(caplog) == [
        "parcels: schedule 'hourly' skips its ticks from 2030-01-01T02:00:00Z on that are more than"
        " 7200 s late (catch_up)"
    ]


# --- overlapping runs ---------------------------------------------------------------------------


async def test_skip_leaves_out_the_ticks_while_an_earlier_run_is_unfinished(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Scheduled(scheduled(overlap="skip")) as bench:
        await bench.scheduler()
        await bench.pass_time(3 * HOUR)
        (first,) = await bench.records()
        await bench.cancel_from_outside(first.run_id)
        await bench.pass_time(2 * HOUR)
        assert await bench.ticks() == ["01:00", "04:00"]
    assert lines(caplog)[0] == (
        "parcels: schedule 'hourly' skips the tick 2030-01-01T02:00:00Z, because the run of an"
        f" earlier tick is not finished: {first.run_id}"
    )


async def test_queue_starts_a_tick_when_the_earlier_run_has_ended() -> None:
    async with Scheduled(scheduled(overlap="queue")) as bench:
        await bench.scheduler()
        await bench.pass_time(3 * HOUR)
        assert await bench.ticks() == ["01:00"]
        assert await bench.up_to() == datetime(2030, 1, 1, 1, tzinfo=UTC)
        for ticks in (["01:00", "02:00"], ["01:00", "02:00", "03:00"]):
            await bench.cancel_from_outside((await bench.records())[-1].run_id)
            await bench.pass_time()
            assert await bench.ticks() == ticks


async def test_allow_starts_runs_side_by_side() -> None:
    async with Scheduled(scheduled(overlap="allow")) as bench:
        await bench.scheduler()
        await bench.pass_time(3 * HOUR)
        assert {record.run_state for record in await bench.records()} == {RunState.INITIATED}
        assert len(await bench.records()) == 3


# --- functions that fail ------------------------------------------------------------------------


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


# --- pausing ------------------------------------------------------------------------------------


async def test_a_schedule_that_is_paused_starts_nothing_until_it_is_resumed() -> None:
    async with Scheduled(scheduled()) as bench:
        await bench.scheduler()
        await bench.pass_time(HOUR)
        await bench.pause("hourly")
        await bench.pass_time(3 * HOUR)
        assert await bench.ticks() == ["01:00"]
        await bench.store.store(
            [
                WriteGroup(
                    positions=(
                        Position(
                            group=GROUP,
                            partition=0,
                            offset=int(bench.clock.now().timestamp() * 1000),
                        ),
                    )
                )
            ]
        )
        await bench.pause()
        await bench.pass_time(HOUR)
        assert await bench.ticks() == ["01:00", "05:00"]


async def test_the_pause_of_another_schedule_changes_nothing() -> None:
    async with Scheduled(scheduled()) as bench:
        await bench.scheduler()
        await bench.pause("daily")
        await bench.pass_time(HOUR)
        assert await bench.ticks() == ["01:00"]


async def test_a_schedule_that_waits_for_a_run_can_be_paused() -> None:
    async with Scheduled(scheduled(overlap="queue")) as bench:
        await bench.scheduler()
        await bench.pass_time(2 * HOUR)
        await bench.pause("hourly")
        await bench.pass_time()
        await bench.cancel_from_outside((await bench.records())[0].run_id)
        await bench.pass_time(HOUR)
        assert await bench.ticks() == ["01:00"]


# --- time ---------------------------------------------------------------------------------------


async def test_a_clock_that_is_set_back_starts_no_tick_again() -> None:
    async with Scheduled(scheduled()) as bench:
        await bench.scheduler()
        await bench.pass_time(2 * HOUR)
        bench.clock.jump_time_of_day(bench.clock.now() - timedelta(hours=1, minutes=30))
        await bench.pass_time(HOUR)
        assert await bench.ticks() == ["01:00", "02:00"]
        await bench.pass_time(2 * HOUR)
        assert await bench.ticks() == ["01:00", "02:00", "03:00"]


async def test_a_wait_for_the_next_tick_costs_few_calls() -> None:
    async with Scheduled(scheduled()) as bench:
        await bench.scheduler()
        await bench.pass_time(59 * 60)
        assert len(bench.store.groups) == 1  # the first position
