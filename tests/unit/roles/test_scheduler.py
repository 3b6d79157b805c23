"""The scheduler starts one run for each tick, whatever becomes of its holder, and in order."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.unit.parcels import Parcel
from tests.unit.roles.hourly import GROUP, HOUR, Scheduled, labelled, lines, scheduled
from workflow_ray.engine.schedules import moment_of
from workflow_ray.errors import RoleLost
from workflow_ray.records import Position, RunState, WriteGroup

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
