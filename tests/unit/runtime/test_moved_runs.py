"""`moved=`: a deploy starts a bulk job that moves the runs of a status that is gone."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from tests.unit.bench import AtWork, Bench
from tests.unit.runtime.jobs import At, Fewer, Job, jobs
from workflow_ray import BulkProgress, BulkState, Run, RunState, Status, Workflow
from workflow_ray.records import BulkEntry, Cause, Role, RunQuery, bulk_group
from workflow_ray.runtime.deploy_terms import DeployTerms
from workflow_ray.runtime.deploying import describe_here, merge, merge_or_join

OLD = jobs()
NEW = jobs(Fewer, moved={"PACKED": Fewer.WAITING})


async def deploy(bench: Bench, workflow: Workflow[Any, Any] = NEW, **terms: bool) -> None:
    described = [describe_here(workflow)]
    await merge(bench.whole, described, DeployTerms(**terms), definitions=[workflow])
    bench.workflows = (workflow,)


async def role(bench: Bench) -> AtWork:
    return await bench.start(Role(bulk_group("jobs")))


async def triggered(bench: Bench, status: At, count: int, name: str = "run") -> None:
    client = bench.client(OLD)
    for number in range(count):
        await client.trigger(f"{name}-{number}", OLD.data(weight=number), start_at=status)


async def jobs_of(bench: Bench) -> list[BulkProgress]:
    return await bench.client(NEW).bulk_jobs()


async def statuses(bench: Bench) -> list[int]:
    return [record.status for record in await bench.store.runs(RunQuery(workflow="jobs"))]


async def test_the_runs_at_a_status_that_is_gone_are_moved_once() -> None:
    async with Bench(OLD) as bench:
        await triggered(bench, At.PACKED, 30)
        await triggered(bench, At.NEW, 1, "other")
        await triggered(bench, At.DONE, 1, "finished")
        await deploy(bench)
        await role(bench)
        await bench.pass_time()
        assert sorted(await statuses(bench)) == [1, *([2] * 30), 4]
        (job,) = await jobs_of(bench)
        assert (job.state, job.changed, job.action, job.by) == (
            BulkState.DONE,
            30,
            "move",
            "deploy",
        )
        for record in await bench.store.runs(RunQuery(workflow="jobs", statuses=(2,))):
            entries = await bench.store.history(record.run_id)
            assert [entry.cause for entry in entries] == [Cause.TRIGGER, Cause.MOVED]
            assert entries[-1].reason == "its status PACKED is gone"
        await deploy(bench)
        assert len(await jobs_of(bench)) == 1


async def test_a_status_that_is_moved_is_no_reason_to_refuse_and_others_are() -> None:
    async with Bench(OLD) as bench:
        await triggered(bench, At.PACKED, 1)
        await deploy(bench)
        assert [job.state for job in await jobs_of(bench)] == [BulkState.RUNNING]


async def test_deploys_at_once_and_again_start_no_second_job() -> None:
    async with Bench(OLD) as bench:
        await triggered(bench, At.PACKED, 3)
        await deploy(bench)
        for _ in range(3):
            await deploy(bench)
            await merge_or_join(bench.whole, [describe_here(NEW)], definitions=[NEW])
        assert len(await jobs_of(bench)) == 1
        await role(bench)
        await bench.pass_time()
        assert len(await jobs_of(bench)) == 1
        assert await statuses(bench) == [2, 2, 2]


async def test_runs_that_old_workers_put_there_later_are_moved_by_the_next_start() -> None:
    async with Bench(OLD) as bench:
        await triggered(bench, At.PACKED, 2)
        await deploy(bench)
        await role(bench)
        await bench.pass_time()
        await triggered(bench, At.PACKED, 2, "late")
        await deploy(bench)
        await bench.pass_time()
        assert [job.changed for job in await jobs_of(bench)] == [2, 2]
        assert await statuses(bench) == [2, 2, 2, 2]


def refusing() -> Workflow[Any, Any]:
    """The status to which runs are moved has a timeout that can't be set for heavy ones."""
    workflow = jobs(Fewer, without=("expire",), moved={"PACKED": Fewer.WAITING})

    def at(run: Run[Job, Any]) -> datetime:
        if run.data.weight:
            raise ValueError("too heavy")
        return run.created_at + timedelta(days=1)

    @workflow.timeout(Fewer.WAITING, at=at)
    async def expire(run: Run[Job, Any]) -> Literal[Fewer.DONE]:
        return Fewer.DONE

    return workflow


async def test_a_run_that_refuses_the_move_gets_no_job_of_its_own_at_each_start() -> None:
    workflow = refusing()
    async with Bench(OLD) as bench:
        await triggered(bench, At.PACKED, 2)
        await deploy(bench, workflow)
        await role(bench)
        for _ in range(3):
            await bench.pass_time()
            await deploy(bench, workflow)
        (job,) = await jobs_of(bench)
        assert (job.state, job.changed, job.refused) == (BulkState.DONE, 1, 1)
        await triggered(bench, At.PACKED, 1, "late")
        await deploy(bench, workflow)
        await bench.pass_time()
        assert [(job.changed, job.refused) for job in await jobs_of(bench)] == [(1, 1), (1, 1)]


async def test_a_run_that_refused_the_move_is_tried_again_by_other_code() -> None:
    async with Bench(OLD) as bench:
        await triggered(bench, At.PACKED, 2)
        workflow = refusing()
        await deploy(bench, workflow)
        await role(bench)
        await bench.pass_time()
        assert await statuses(bench) == [2, 3]
        changed = replace(describe_here(workflow), code="changed")
        for _ in range(2):
            await merge(bench.whole, [changed], definitions=[workflow])
            await bench.pass_time()
        assert [(job.changed, job.refused) for job in await jobs_of(bench)] == [(1, 1), (0, 1)]


async def test_a_deploy_that_died_before_its_job_is_made_good_by_the_next_one() -> None:
    async with Bench(OLD) as bench:
        await triggered(bench, At.PACKED, 2)
        await merge(
            bench.whole, [describe_here(NEW)], DeployTerms(strand=True)
        )  # no definition: it moves none
        assert await jobs_of(bench) == []
        await deploy(bench)
        await role(bench)
        await bench.pass_time()
        assert await statuses(bench) == [2, 2]


async def test_a_job_to_a_status_that_is_gone_too_ends_and_another_one_moves_its_runs() -> None:
    class Last(Status):
        NEW = 1
        DONE = 4

    last: Workflow[Job, Last] = Workflow(
        "jobs", Job, Last, moved={"WAITING": Last.NEW, "PACKED": Last.NEW}
    )

    @last.step(Last.NEW)
    async def pick(run: Run[Job, Last]) -> Literal[Last.DONE]:
        return Last.DONE

    async with Bench(OLD) as bench:
        await triggered(bench, At.PACKED, 3)
        await triggered(bench, At.WAITING, 1, "other")
        await deploy(bench)
        await deploy(bench, last, replace=True)
        await role(bench)
        await bench.pass_time(5)
        assert await statuses(bench) == [1, 1, 1, 1]
        found = [(job.state, job.changed) for job in await jobs_of(bench)]
        assert found == [(BulkState.ABORTED, 0), (BulkState.DONE, 1), (BulkState.DONE, 3)]


async def test_a_job_whose_role_dies_goes_on_and_moves_each_run_once() -> None:
    async with Bench(OLD) as bench:
        await triggered(bench, At.PACKED, 40)
        await deploy(bench)
        for _ in range(5):
            at_work = await role(bench)
            await asyncio.sleep(0)
            await at_work.kill()
        await role(bench)
        await bench.pass_time(5)
        for record in await bench.store.runs(RunQuery(workflow="jobs")):
            assert (record.status, record.version) == (2, 2)


async def test_a_paused_run_goes_on_where_it_is_moved_to() -> None:
    async with Bench(OLD) as bench:
        await triggered(bench, At.PACKED, 1)
        (record,) = await bench.store.runs(RunQuery(workflow="jobs"))
        await bench.client(OLD).handle(record.run_id).pause("a look")
        await deploy(bench)
        await role(bench)
        await bench.pass_time()
        (record,) = await bench.store.runs(RunQuery(workflow="jobs"))
        assert (record.status, record.run_state) == (2, RunState.RUNNING)


async def test_a_name_that_was_never_deployed_moves_nothing() -> None:
    async with Bench(OLD) as bench:
        await triggered(bench, At.NEW, 1)
        await deploy(bench, jobs(moved={"NEVER": At.DONE}))
        assert await jobs_of(bench) == []


async def test_older_code_that_joins_moves_nothing() -> None:
    async with Bench(OLD) as bench:
        old, new = (replace(describe_here(NEW), code=code) for code in ("old", "new"))
        await merge(bench.whole, [old])
        await merge(bench.whole, [new])
        await triggered(bench, At.PACKED, 1)
        await merge_or_join(bench.whole, [old], definitions=[NEW])
        assert await jobs_of(bench) == []
        await merge_or_join(bench.whole, [new], definitions=[NEW])
        assert len(await jobs_of(bench)) == 1


def test_a_job_that_earlier_code_has_stored_names_no_code() -> None:
    stored = (
        b'{"query":{"workflow":"jobs","statuses":[3]},"action":"move","by":"deploy","to":2,'
        b'"asked_at":"2026-11-26T10:00:00Z","state":"done","refused":1}'
    )
    job = msgspec.json.decode(stored, type=BulkEntry)
    assert (job.code, job.refused) == ("", 1)
