"""Bulk jobs among steps and crashes: each run gets one version, whatever becomes of the role."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from tests.unit.roles.depot import GROUP, RUNS, Depot, counts
from workflow_ray import BulkState, RunState
from workflow_ray.errors import RoleLost, UnknownBulkAction
from workflow_ray.records import (
    BulkEntry,
    BulkRequest,
    GroupResult,
    Role,
    RunId,
    SetAsideQuery,
    WriteGroup,
    job_entry,
    new_bulk_id,
)

# --- steps at the same time ---------------------------------------------------------------------


async def test_a_run_that_a_step_changes_meanwhile_is_tried_again() -> None:
    async with Depot() as depot:
        await depot.fill()
        lost: set[RunId] = set()

        def touch_first(group: WriteGroup) -> "asyncio.Future[None] | None":
            run_id = group.writes[0].run_id
            if run_id in lost:
                return None
            lost.add(run_id)
            return asyncio.ensure_future(depot.touch(run_id))

        depot.before_pages(touch_first)
        await depot.role()
        job = await depot.begin()
        await depot.pass_time()
        assert counts(await job.progress()) == (RUNS, 0, 0, 0)
        assert len(lost) == 4
        assert await depot.versions() == {2: RUNS - 4, 3: 4}
        assert await depot.states() == {RunState.PAUSED: RUNS}


async def test_a_run_that_a_step_moves_out_of_the_filters_is_left_alone() -> None:
    async with Depot() as depot:
        await depot.fill()
        moved: list[RunId] = []

        def touch_last(group: WriteGroup) -> "asyncio.Future[None]":
            moved.append(group.writes[-1].run_id)
            return asyncio.ensure_future(depot.touch(moved[-1]))

        depot.before_pages(touch_last)
        await depot.role()
        job = await depot.begin(run_states=(RunState.INITIATED,))
        await depot.pass_time()
        assert counts(await job.progress()) == (RUNS - 4, 0, 0, 4)
        assert await depot.states() == {RunState.PAUSED: RUNS - 4, RunState.RUNNING: 4}
        assert await depot.versions() == {2: RUNS}


# --- crashes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lands", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("at", range(1, 9))
async def test_a_role_that_is_killed_at_a_commit_repeats_nothing_and_leaves_nothing_out(
    at: int, lands: bool
) -> None:
    """Some writes of each page are too late, also of the page at which the role is killed."""
    async with Depot() as depot:
        await depot.fill()
        store, touched, sent = depot.store.store, set[RunId](), 0
        killed = asyncio.Event()

        async def stored(groups: Sequence[WriteGroup]) -> list[GroupResult]:
            nonlocal sent
            (group,) = groups
            if group.fence is None:
                return await store(groups)
            sent += 1
            for write in group.writes[1::4]:
                if write.run_id not in touched:
                    touched.add(write.run_id)
                    await depot.touch(write.run_id)
            if sent != at:
                return await store(groups)
            if lands:
                await store(groups)
            killed.set()
            await asyncio.Event().wait()
            raise AssertionError("the role is killed here")

        depot.store.store = stored  # type: ignore[method-assign]  # it wraps the method of this one store
        role = await depot.role()
        job = await depot.begin()
        await depot.clock.settle()
        if killed.is_set():
            await role.kill()
            await depot.role()
        await depot.pass_time()
        progress = await job.progress()
        assert (progress.state, counts(progress)) == (BulkState.DONE, (RUNS, 0, 0, 0))
        assert await depot.states() == {RunState.PAUSED: RUNS}
        assert await depot.versions() == {2: RUNS - len(touched), 3: len(touched)}


async def test_a_commit_whose_answer_is_lost_is_repeated_without_effect() -> None:
    async with Depot() as depot:
        await depot.fill()
        depot.store.lose_answers = 3
        await depot.role()
        job = await depot.begin()
        await depot.pass_time(10)
        assert counts(await job.progress()) == (RUNS, 0, 0, 0)
        assert await depot.versions() == {2: RUNS}


async def test_a_start_whose_answer_is_lost_does_not_begin_again() -> None:
    """The role does the whole job before the client repeats the start."""
    async with Depot() as depot:
        await depot.fill()
        await depot.role()
        depot.store.lose_answers_to_clients = 1
        starting = asyncio.create_task(depot.parcels.bulk("pause", "once"))
        await depot.pass_time()
        await depot.pass_time(1)
        job = await starting
        await depot.pass_time(1)
        assert counts(await job.progress()) == (RUNS, 0, 0, 0)
        assert await depot.versions() == {2: RUNS}
        assert await depot.store.set_aside(SetAsideQuery(group=GROUP, partitions=(1,))) == []


async def test_a_role_whose_fence_is_old_writes_nothing() -> None:
    async with Depot() as depot:
        await depot.fill()
        role = await depot.role()
        await depot.whole.acquire(Role(GROUP))
        await depot.begin()
        await depot.pass_time()
        with pytest.raises(RoleLost):
            await role.task
        assert await depot.versions() == {1: RUNS}


async def test_a_status_that_the_code_does_not_have_changes_nothing() -> None:
    async with Depot() as depot:
        await depot.fill(3)
        job = await depot.begin()
        (entry,) = await depot.store.set_aside(SetAsideQuery(group=GROUP, event_id=job.id))
        request = msgspec.json.decode(entry.event, type=BulkRequest)
        assert request.start is not None
        moves = msgspec.structs.replace(request.start, action="move", to=77)
        entry_of_newer = job_entry("parcels", job.id, moves)
        group = WriteGroup(set_aside=(entry_of_newer,), taken_back=(entry.key,))
        await depot.store.store([group])
        role = await depot.role()
        await depot.pass_time()
        with pytest.raises(UnknownBulkAction, match="'move to status 77'"):
            await role.task
        assert await depot.versions() == {1: 3}


async def test_an_action_that_the_code_does_not_know_changes_nothing_and_can_be_aborted() -> None:
    async with Depot() as depot:
        await depot.fill(3)
        job = await depot.begin()
        await (await depot.role()).leave()
        job_id = new_bulk_id()
        (entry,) = await depot.store.set_aside(SetAsideQuery(group=GROUP, event_id=job.id))
        newer = entry.event.replace(b'"pause"', b'"fold"').replace(b'"done"', b'"running"')
        entry_of_newer = job_entry("parcels", job_id, msgspec.json.decode(newer, type=BulkEntry))
        await depot.store.store([WriteGroup(set_aside=(entry_of_newer,))])
        role = await depot.role()
        await depot.pass_time()
        with pytest.raises(UnknownBulkAction, match="'fold'"):
            await role.task
        await depot.jobs.job(job_id).abort()
        await depot.role()
        await depot.pass_time()
        assert (await depot.jobs.job(job_id).progress()).state is BulkState.ABORTED
