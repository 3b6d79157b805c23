"""Bulk jobs: each run that passes the filters gets one version, and callers control the job."""

import asyncio
import random
from contextlib import suppress
from datetime import timedelta

from tests.unit.parcels import Parcel
from tests.unit.roles.depot import GROUP, PAGE, RUNS, SECOND, Depot, counts
from workflow_ray import BulkState, Cause, RunState
from workflow_ray.engine.control import Action
from workflow_ray.errors import BulkJobRefused
from workflow_ray.records import SetAsideQuery, WriteGroup

# --- what a job does ----------------------------------------------------------------------------


async def test_each_run_that_passes_the_filters_gets_one_version_with_who_and_why() -> None:
    async with Depot() as depot:
        await depot.fill()
        await depot.role()
        job = await depot.begin()
        await depot.pass_time()
        progress = await job.progress()
        assert (progress.state, progress.asked) == (BulkState.DONE, None)
        assert counts(progress) == (RUNS, 0, 0, 0)
        assert await depot.versions() == {2: RUNS}
        for record in await depot.records():
            entry = (await depot.store.history(record.run_id))[-1]
            assert (entry.cause, entry.by) == (Cause.PAUSE, "ann")
            assert (entry.run_state, entry.reason) == (RunState.PAUSED, "the bank is down")


async def test_a_page_is_one_commit_with_the_job() -> None:
    async with Depot() as depot:
        await depot.fill()
        await depot.role()
        await depot.begin()
        await depot.pass_time()
        pages = [group for group in depot.store.groups if group.fence and group.writes]
        assert [len(group.writes) for group in pages] == [10, 10, 10, 5]
        assert all(len(group.set_aside) == 1 for group in pages)


async def test_runs_that_are_so_already_or_refuse_are_counted_and_stay() -> None:
    async with Depot() as depot:
        await depot.fill(6)
        first, second, third, *_ = await depot.records()
        await depot.touch(first.run_id, RunState.PAUSED)
        await depot.touch(second.run_id, RunState.PAUSED)
        await depot.touch(third.run_id, RunState.CANCELLED)
        await depot.role()
        job = await depot.begin()
        await depot.pass_time()
        assert counts(await job.progress()) == (3, 2, 1, 0)
        assert await depot.versions() == {2: 6}


async def test_only_runs_that_pass_the_filters_are_changed() -> None:
    async with Depot() as depot:
        await depot.fill(5)
        (first, *_) = await depot.records()
        await depot.touch(first.run_id, RunState.PAUSED)
        await depot.role()
        job = await depot.begin(Action.CANCEL, run_states=(RunState.PAUSED,))
        await depot.pass_time()
        assert counts(await job.progress()) == (1, 0, 0, 0)
        assert await depot.states() == {RunState.CANCELLED: 1, RunState.INITIATED: 4}


async def test_runs_that_are_triggered_after_the_start_are_left_alone() -> None:
    async with Depot() as depot:
        await depot.fill(5)
        job = await depot.begin()
        await depot.pass_time(1)
        await depot.parcels.trigger("late", Parcel())
        await depot.role()
        await depot.pass_time()
        assert counts(await job.progress()) == (5, 0, 0, 0)
        assert await depot.states() == {RunState.PAUSED: 5, RunState.INITIATED: 1}


async def test_jobs_take_turns() -> None:
    async with Depot() as depot:
        await depot.fill()
        depot.before_pages(lambda _: depot.clock.jump(depot.clock.now() + SECOND))
        first, second = await depot.begin(), await depot.begin(Action.CANCEL)
        await depot.role()
        for _ in range(10):
            await depot.clock.settle()
            depot.clock.jump(depot.clock.now() + SECOND)
        pages = [each for each in depot.store.groups if each.fence is not None and each.writes]
        order = [group.set_aside[0].event_id for group in pages]
        assert order[:4] in ([first.id, second.id] * 2, [second.id, first.id] * 2)
        assert {each.state for each in await depot.parcels.bulk_jobs()} == {BulkState.DONE}
        assert await depot.states() == {RunState.CANCELLED: RUNS}


async def test_a_role_leaves_the_store_to_others_for_as_long_as_a_page_took() -> None:
    async with Depot() as depot:
        await depot.fill()
        depot.before_pages(lambda _: depot.clock.jump(depot.clock.now() + SECOND))
        await depot.role()
        job = await depot.begin()
        for page in range(1, 4):
            for waited in (timedelta(), 0.9 * SECOND):
                depot.clock.jump(depot.clock.now() + waited)
                await depot.clock.settle()
                assert await depot.versions() == {1: RUNS - page * PAGE, 2: page * PAGE}
            depot.clock.jump(depot.clock.now() + 0.1 * SECOND)
            await depot.clock.settle()
        depot.clock.jump(depot.clock.now() + SECOND)
        await depot.clock.settle()
        assert counts(await job.progress()) == (RUNS, 0, 0, 0)


async def test_a_role_does_not_rest_for_as_long_as_the_store_was_down() -> None:
    async with Depot() as depot:
        await depot.fill()
        outages = iter([3600 * SECOND])
        depot.before_pages(
            lambda _: depot.clock.jump(depot.clock.now() + next(outages, timedelta()))
        )
        await depot.role()
        job = await depot.begin()
        await depot.clock.settle()
        assert await depot.versions() == {1: RUNS - PAGE, 2: PAGE}
        await job.abort()
        await depot.pass_time(60)
        assert (await job.progress()).state is BulkState.ABORTED


# --- controls of jobs ---------------------------------------------------------------------------


async def test_a_paused_job_rests_and_goes_on_after_its_last_page() -> None:
    async with Depot() as depot:
        await depot.fill()
        job = await depot.begin()
        jobs = iter([job.pause])

        def pause_after_first(_: WriteGroup) -> "asyncio.Future[None] | None":
            ask = next(jobs, None)

            async def asked() -> None:
                if ask is not None:
                    assert (await ask()).asked is BulkState.PAUSED

            return asyncio.ensure_future(asked())

        depot.before_pages(pause_after_first)
        await depot.role()
        await depot.pass_time(100)
        progress = await job.progress()
        assert (progress.state, progress.asked) == (BulkState.PAUSED, None)
        assert counts(progress) == (PAGE, 0, 0, 0)
        assert (await job.resume()).asked is BulkState.RUNNING
        await depot.pass_time()
        progress = await job.progress()
        assert (progress.state, counts(progress)) == (BulkState.DONE, (RUNS, 0, 0, 0))
        assert await depot.versions() == {2: RUNS}


async def test_what_is_asked_before_a_role_runs_is_done_in_order() -> None:
    async with Depot() as depot:
        await depot.fill()
        job = await depot.begin()
        assert (await job.progress()).state is BulkState.RUNNING
        await depot.pass_time(1)
        assert (await job.pause()).asked is BulkState.PAUSED
        await depot.pass_time(1)
        assert (await job.resume()).asked is None
        await depot.pass_time(1)
        assert (await job.pause()).asked is BulkState.PAUSED
        await depot.role()
        await depot.pass_time()
        assert (await job.progress()).state is BulkState.PAUSED
        assert await depot.versions() == {1: RUNS}


async def test_an_aborted_job_changes_no_further_run() -> None:
    async with Depot() as depot:
        await depot.fill()
        job = await depot.begin()
        await job.pause()
        await depot.role()
        await depot.pass_time()
        await job.abort()
        await depot.pass_time()
        progress = await job.wait(timeout=0)
        assert (progress.state, counts(progress)) == (BulkState.ABORTED, (0, 0, 0, 0))
        assert await depot.versions() == {1: RUNS}


async def test_what_many_callers_ask_at_once_leaves_each_run_with_one_version() -> None:
    """The last one to ask is a resume, so the job is done."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with Depot() as depot:
        await depot.fill(20 * PAGE)
        job = await depot.begin()
        await depot.role()

        async def ask() -> None:
            for _ in range(chance.randrange(20)):
                await asyncio.sleep(0)
            with suppress(BulkJobRefused):  # it is done before
                await chance.choice((job.pause, job.resume))()

        await asyncio.gather(*(ask() for _ in range(50)))
        with suppress(BulkJobRefused):
            await job.resume()
        await depot.pass_time()
        progress = await job.progress()
        assert (progress.state, counts(progress)) == (BulkState.DONE, (20 * PAGE, 0, 0, 0)), seed
        assert await depot.versions() == {2: 20 * PAGE}
        assert await depot.store.set_aside(SetAsideQuery(group=GROUP, partitions=(1,))) == []
