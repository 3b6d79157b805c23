"""Schedules as a client shows and controls them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from tests.unit.bench import AtWork, Bench
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, packing, parcels
from workflow_ray import Client, ScheduleInfo, TriggerOutcome
from workflow_ray.errors import InvalidInput, ScheduleFailed, UnknownSchedule, UnknownWorkflow
from workflow_ray.records import Role, scheduler_group
from workflow_ray.runtime.deploy_terms import DeployTerms
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.testing import FakeClock

HOUR = 3600.0
MIDNIGHT = datetime(2030, 1, 1, tzinfo=UTC)


def at(hours: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hours)


def scheduled() -> Parcels:
    """A workflow with schedules whose runs end at once, if a consumer works."""
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    @workflow.schedule("hourly", every=HOUR, overlap="allow")
    async def hourly(tick: datetime) -> Parcel:
        return Parcel(label=tick.isoformat())

    @workflow.schedule("nightly", cron="30 2 * * *", timezone="Europe/Berlin")
    def nightly(tick: datetime) -> Parcel | None:
        return Parcel(label=tick.isoformat()) if tick.day % 2 else None

    @workflow.schedule("broken", every=timedelta(days=1))
    def broken(tick: datetime) -> Parcel:
        raise ValueError("no stock")

    return workflow


class Shown(Bench):
    def __init__(self) -> None:
        super().__init__(scheduled())
        self.schedules: Client[Any, Any] = self.client(self.workflow)

    async def scheduler(self) -> AtWork:
        return await self.start(Role(scheduler_group("parcels", "hourly")))

    async def info(self, name: str) -> ScheduleInfo:
        (info,) = [info for info in await self.schedules.schedules() if info.name == name]
        return info

    async def foreign_ids(self) -> list[str]:
        return [run.foreign_id async for run in self.schedules.runs()]


# --- showing ------------------------------------------------------------------------------------


async def test_schedules_tell_their_ticks_before_the_first_one() -> None:
    async with Shown() as bench:
        hourly, nightly, _ = await bench.schedules.schedules()
    assert hourly == ScheduleInfo(
        name="hourly",
        cron=None,
        every=timedelta(hours=1),
        timezone="UTC",
        paused=False,
        last_tick=None,
        next_tick=at(1),
    )
    assert (nightly.cron, nightly.every, nightly.timezone) == ("30 2 * * *", None, "Europe/Berlin")
    assert str(nightly.next_tick) == "2030-01-01 02:30:00+01:00"


async def test_schedules_tell_the_last_tick_that_started_a_run_and_the_next_one() -> None:
    async with Shown() as bench:
        await bench.scheduler()
        await bench.pass_time(2.5 * HOUR)
        info = await bench.info("hourly")
    assert (info.last_tick, info.next_tick) == (at(2), at(3))


async def test_a_schedule_that_is_late_tells_a_tick_of_the_past() -> None:
    async with Shown() as bench:
        await bench.scheduler()
        await bench.pass_time(HOUR)
        bench.clock.jump(at(5))
        assert (await bench.info("hourly")).next_tick == at(2)


# --- pausing ------------------------------------------------------------------------------------


async def test_ticks_of_a_pause_start_no_runs_and_a_resumed_schedule_continues_from_now() -> None:
    async with Shown() as bench:
        await bench.scheduler()
        await bench.pass_time(HOUR)
        await bench.schedules.pause_schedule("hourly")
        paused = await bench.info("hourly")
        assert (paused.paused, paused.last_tick, paused.next_tick) == (True, at(1), None)
        await bench.pass_time(3.5 * HOUR)
        await bench.schedules.resume_schedule("hourly")
        resumed = await bench.info("hourly")
        assert (resumed.paused, resumed.last_tick, resumed.next_tick) == (False, at(1), at(5))
        await bench.pass_time(HOUR)
        assert len(await bench.foreign_ids()) == 2


async def test_ticks_of_a_pause_in_which_nothing_ran_start_no_runs() -> None:
    async with Shown() as bench:
        await bench.schedules.pause_schedule("hourly")
        await bench.pass_time(HOUR)
        await bench.schedules.resume_schedule("hourly")
        await bench.scheduler()
        assert await bench.foreign_ids() == []


async def test_to_pause_twice_or_to_resume_what_runs_changes_nothing() -> None:
    async with Shown() as bench:
        await bench.schedules.pause_schedule("hourly")
        await bench.schedules.pause_schedule("nightly")
        paused = await bench.store.deployment()
        await bench.schedules.pause_schedule("hourly")
        assert await bench.store.deployment() == paused
        await bench.schedules.resume_schedule("hourly")
        (workflow,) = (await bench.store.deployment()).workflows
        assert workflow.paused == ("nightly",)
        await bench.schedules.resume_schedule("hourly")
        assert (await bench.store.deployment()).version == paused.version + 1


async def test_a_deploy_keeps_which_schedules_are_paused_and_forgets_those_that_are_gone() -> None:
    async with Shown() as bench:
        await bench.schedules.pause_schedule("hourly")
        (workflow,) = (await merge(bench.store, [describe_here(bench.workflow)])).workflows
        assert workflow.paused == ("hourly",)
        terms = DeployTerms(replace=True)
        (workflow,) = (await merge(bench.store, [describe_here(packing())], terms)).workflows
        assert workflow.paused == ()


async def test_operators_who_pause_schedules_at_once_lose_no_pause() -> None:
    async with Shown() as bench:
        names = ["hourly", "nightly", "broken"]
        await asyncio.gather(*map(bench.schedules.pause_schedule, names))
        (workflow,) = (await bench.store.deployment()).workflows
        assert workflow.paused == ("broken", "hourly", "nightly")


async def test_only_what_is_deployed_can_be_paused() -> None:
    async with Shown() as bench:
        with pytest.raises(UnknownSchedule, match="it has: broken, hourly, nightly"):
            await bench.schedules.pause_schedule("weekly")
        elsewhere = Bench(scheduled(), clock=FakeClock())
        with pytest.raises(UnknownWorkflow):
            await elsewhere.client(elsewhere.workflow).resume_schedule("hourly")


# --- triggering and filling in ------------------------------------------------------------------


async def test_a_trigger_by_hand_starts_a_run_now_and_leaves_the_ticks_alone() -> None:
    async with Shown() as bench:
        await bench.scheduler()
        await bench.pass_time(HOUR / 2)
        await bench.schedules.pause_schedule("hourly")
        handle = await bench.schedules.trigger_schedule("hourly")
        assert handle is not None
        run = await handle.get()
        info = await bench.info("hourly")
    assert run.foreign_id == "hourly-2030-01-01T00:30:00Z"
    assert run.data == Parcel(label="2030-01-01T00:30:00+00:00")
    assert info.last_tick is None


async def test_a_trigger_by_hand_without_data_starts_nothing() -> None:
    async with Shown() as bench:
        assert await bench.schedules.trigger_schedule("nightly") is not None
        await bench.pass_time(24 * HOUR)
        assert await bench.schedules.trigger_schedule("nightly") is None


async def test_a_backfill_starts_the_runs_of_a_past_interval_once() -> None:
    async with Shown() as bench:
        bench.clock.jump(at(8))
        started = await bench.schedules.backfill("hourly", at(2), at(5))
        assert [(await handle.get()).foreign_id[-9:-4] for handle, _ in started] == [
            "02:00",
            "03:00",
            "04:00",
        ]
        assert {outcome for _, outcome in started} == {TriggerOutcome.STARTED}
        again = await bench.schedules.backfill("hourly", at(2), at(6))
        assert [outcome for _, outcome in again] == [TriggerOutcome.KNOWN] * 3 + [
            TriggerOutcome.STARTED
        ]
        assert [handle.run_id for handle, _ in again[:3]] == [h.run_id for h, _ in started]


async def test_a_backfill_moves_no_position_and_its_ticks_are_not_run_again() -> None:
    async with Shown() as bench:
        await bench.scheduler()
        await bench.pass_time(HOUR)
        await bench.schedules.pause_schedule("hourly")
        await bench.pass_time(2.5 * HOUR)
        await bench.schedules.backfill("hourly", at(1), at(3))
        assert (await bench.info("hourly")).last_tick == at(1)
        assert [foreign_id[-9:-4] for foreign_id in await bench.foreign_ids()] == [
            "01:00",
            "02:00",
        ]


async def test_a_scheduler_that_comes_to_a_tick_of_a_backfill_finds_its_run() -> None:
    async with Shown() as bench:
        await (await bench.scheduler()).leave()
        bench.clock.jump(at(3.5))
        await bench.schedules.backfill("hourly", at(1), at(3.2))
        await bench.scheduler()
        await bench.pass_time(HOUR)
        assert [foreign_id[-9:-4] for foreign_id in await bench.foreign_ids()] == [
            "01:00",
            "02:00",
            "03:00",
            "04:00",
        ]


async def test_a_backfill_leaves_out_ticks_without_data() -> None:
    async with Shown() as bench:
        bench.clock.jump(at(96))
        started = await bench.schedules.backfill("nightly", at(0), at(96))
        assert [(await handle.get()).data.label for handle, _ in started] == [
            "2030-01-01T02:30:00+01:00",
            "2030-01-03T02:30:00+01:00",
        ]


@pytest.mark.parametrize(
    ("start", "end", "what"),
    [
        (at(2), at(1), "start"),
        (at(1), at(1), "start"),
        (at(1), at(9), "end"),
        (at(0).replace(tzinfo=None), at(1), "start"),
    ],
)
async def test_a_backfill_is_of_an_interval_in_the_past(
    start: datetime, end: datetime, what: str
) -> None:
    async with Shown() as bench:
        bench.clock.jump(at(8))
        with pytest.raises(InvalidInput, match=what):
            await bench.schedules.backfill("hourly", start, end)


async def test_an_error_of_the_function_names_the_schedule_and_the_tick() -> None:
    async with Shown() as bench:
        with pytest.raises(ScheduleFailed) as caught:
            await bench.schedules.trigger_schedule("broken")
    assert str(caught.value) == (
        "parcels: the function of schedule 'broken' failed for the tick 2030-01-01T00:00:00Z:"
        " ValueError: no stock. Correct it, then ask again; earlier ticks keep their runs."
    )


async def test_an_error_of_the_function_names_wrong_fields_without_their_values() -> None:
    workflow = packing()

    @workflow.schedule("wrong", every=HOUR)
    def wrong(tick: datetime) -> Parcel:
        return Parcel.model_validate({"weight": "a secret"})

    async with Bench(workflow) as bench:
        with pytest.raises(ScheduleFailed, match="weight") as caught:
            await bench.client(workflow).trigger_schedule("wrong")
    assert "a secret" not in str(caught.value)


async def test_a_name_that_the_definition_lacks_is_refused() -> None:
    async with Shown() as bench:
        with pytest.raises(UnknownSchedule):
            await bench.schedules.trigger_schedule("weekly")
        with pytest.raises(UnknownSchedule):
            await bench.schedules.backfill("weekly", at(0), at(1))
