"""Bulk jobs as a client starts, shows and controls them."""

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Literal

import msgspec
import pytest

from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray import (
    BulkPreview,
    BulkState,
    Cause,
    Client,
    Fatal,
    Pause,
    RunState,
    Trigger,
    Workflow,
)
from workflow_ray.errors import (
    BulkJobNotFound,
    BulkJobRefused,
    BulkNotDeployed,
    BulkWaitTimeout,
    InvalidInput,
    NothingLeft,
    UnknownWorkflow,
)
from workflow_ray.records import bulk_group
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.testing import FakeClock, WorkflowTester
from workflow_ray_adapters.memory import MemoryStore


def fragile(broken: list[str]) -> Parcels:
    """A workflow whose step pauses runs of the label "halt", and fails for the labels given."""
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Pause:
        if run.data.label in broken:
            raise Fatal("no box")
        return Pause("a person must look") if run.data.label == "halt" else Stage.DONE

    return workflow


EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-14))


class Nowhere(tzinfo):
    """A timezone that does not know its offset."""

    def utcoffset(self, dt: datetime | None) -> None:
        return None

    def dst(self, dt: datetime | None) -> None:
        return None

    def tzname(self, dt: datetime | None) -> None:
        return None


def triggers(label: str, count: int) -> list[Trigger[Parcel, Stage]]:
    return [Trigger(f"{label}-{n}", Parcel(label=label)) for n in range(count)]


async def test_failed_runs_are_retried_after_the_cause_is_mended() -> None:
    broken = ["bad"]
    workflow = fragile(broken)
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        await client.trigger_many([*triggers("bad", 700), *triggers("halt", 3)])
        await tester.settle()
        broken.clear()
        job = await client.bulk("retry", "the boxes are there", failed=True, by="ann")
        progress = await job.wait()
        assert (progress.state, progress.changed, progress.refused) == (BulkState.DONE, 700, 0)
        await tester.settle()
        assert await client.counts() == {
            (Stage.NEW, RunState.PAUSED): 3,
            (Stage.DONE, RunState.COMPLETED): 700,
        }
        run = await client.latest("bad-7")
        causes = [(each.cause, each.by) for each in await client.handle(run.run_id).history()]
        assert causes[2] == (Cause.RETRIED, "ann")


async def test_a_dry_run_counts_and_changes_nothing() -> None:
    workflow = fragile(["bad"])
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        await client.trigger_many([*triggers("bad", 2), *triggers("halt", 3), *triggers("ok", 4)])
        await tester.settle()
        before = await client.counts()
        preview = await client.bulk("cancel", "not wanted", dry_run=True)
        assert preview == BulkPreview(changed=5, unchanged=0, refused=4)
        assert await client.bulk("retry", dry_run=True) == BulkPreview(
            changed=2, unchanged=0, refused=7
        )
        assert await client.counts() == before
        assert await client.bulk_jobs() == []


async def test_runs_are_moved_to_a_status_unless_they_are_finished() -> None:
    workflow = fragile(["bad"])
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        await client.trigger_many([*triggers("bad", 700), *triggers("halt", 3), *triggers("ok", 4)])
        await tester.settle()
        counts = await client.bulk("move", "by hand", to=Stage.DONE, dry_run=True)
        assert counts == BulkPreview(changed=703, unchanged=0, refused=4)
        job = await client.bulk("move", "by hand", to=Stage.DONE, by="ann")
        progress = await job.wait()
        assert (progress.action, progress.to, progress.reason) == ("move", 2, "by hand")
        assert (progress.changed, progress.unchanged, progress.refused) == (703, 0, 4)
        assert await client.counts() == {(Stage.DONE, RunState.COMPLETED): 707}
        run = await client.latest("bad-7")
        last = (await client.handle(run.run_id).history())[-1]
        assert (last.cause, last.by, last.reason) == (Cause.MOVED, "ann", "by hand")


async def test_runs_that_stand_at_the_status_begin_it_again() -> None:
    broken = ["bad"]
    workflow = fragile(broken)
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        await client.trigger_many(triggers("bad", 2))
        await tester.settle()
        broken.clear()
        progress = await (await client.bulk("move", "again", to=Stage.NEW)).wait()
        assert progress.changed == 2
        await tester.settle()
        assert await client.counts() == {(Stage.DONE, RunState.COMPLETED): 2}


def never(run: ParcelRun) -> datetime:
    raise ValueError("no time")


async def test_runs_whose_timeouts_can_not_be_set_refuse_the_move_and_are_counted() -> None:
    workflow: Parcels = Workflow("parcels", Parcel, Stage, entry=Stage.DONE)

    @workflow.callback(Stage.NEW)
    async def packed(run: ParcelRun, weight: int) -> Literal[Stage.DONE]:
        return Stage.DONE

    @workflow.timeout(Stage.DONE, at=never)
    async def late(run: ParcelRun) -> Literal[Stage.NEW]:
        return Stage.NEW

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        await client.trigger_many(triggers("x", 3))
        progress = await (await client.bulk("move", "x", to=Stage.DONE)).wait()
        assert (progress.changed, progress.refused) == (0, 3)


@pytest.mark.parametrize(
    ("action", "to", "why"),
    [
        ("move", None, "to: name the status to which runs are moved"),
        ("pause", Stage.DONE, "to: only a move has it, and this is a pause; leave it out"),
        ("move", "DONE", "to: "),
    ],
)
async def test_only_a_move_says_where_to(action: Any, to: Any, why: str) -> None:
    workflow = fragile([])
    async with WorkflowTester(workflow) as tester:
        with pytest.raises(InvalidInput, match=why):
            await tester.client(workflow).bulk(action, "x", to=to)


async def test_filters_of_times_and_states_are_those_of_runs() -> None:
    workflow = fragile([])
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        await client.trigger_many(triggers("halt", 2))
        await tester.advance(timedelta(hours=1))
        noon = tester.now
        await client.trigger("late", Parcel(label="halt"))
        await tester.advance(timedelta(hours=1))
        filters: list[dict[str, Any]] = [
            {"created_before": noon},
            {"updated_before": noon},
            {"created_from": noon},
            {"foreign_id": "late"},
            {"status": [Stage.NEW], "run_state": RunState.PAUSED},
            {"status": Stage.DONE},
            {"failed": True},
        ]
        for filter_, wanted in zip(filters, [2, 2, 1, 1, 3, 0, 0], strict=True):
            assert len([run async for run in client.runs(**filter_)]) == wanted
            preview: BulkPreview = await client.bulk("cancel", "x", dry_run=True, **filter_)
            assert preview.changed == wanted, filter_


async def test_jobs_are_listed_until_they_are_dropped() -> None:
    workflow = fragile([])
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        first = await client.bulk("pause", "a test", by="ann")
        second = await client.bulk("resume")
        await first.wait()
        await second.wait()
        one, two = await client.bulk_jobs()
        assert (one.id, one.action, one.reason, one.by) == (first.id, "pause", "a test", "ann")
        assert (two.id, two.action, two.reason, two.asked_at) == (
            second.id,
            "resume",
            None,
            tester.now,
        )
        await client.bulk_job(first.id).drop()
        assert await client.bulk_jobs() == [two]
        for call in (first.progress, first.wait, first.pause, first.abort, first.drop):
            with pytest.raises(BulkJobNotFound, match=first.id):
                await call()


async def test_a_job_that_has_ended_can_only_be_dropped_and_one_that_has_not_can_not() -> None:
    workflow = fragile([])
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        job = await client.bulk("pause", "a test")
        with pytest.raises(BulkJobRefused, match="drop is refused: it is running"):
            await job.drop()
        await job.wait()
        for verb, call in (("pause", job.pause), ("resume", job.resume), ("abort", job.abort)):
            with pytest.raises(BulkJobRefused, match=f"{verb} is refused: it is done"):
                await call()
        await job.drop()


async def test_a_wait_for_a_job_that_rests_would_not_end() -> None:
    workflow = fragile([])
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        job = await client.bulk("pause", "a test")
        await job.pause()
        with pytest.raises(NothingLeft, match=job.id):
            await job.wait()
        with pytest.raises(BulkWaitTimeout, match="It is paused: 0 changed"):
            await job.wait(timeout=0)
        await job.resume()
        assert (await job.wait()).state is BulkState.DONE


async def test_hooks_are_told_of_the_runs_that_a_job_pauses() -> None:
    told = list[str]()
    workflow = fragile([])

    @workflow.on_cancel
    async def note(run: ParcelRun) -> None:
        told.append(run.foreign_id)

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        await client.trigger_many(triggers("halt", 3))
        await tester.settle()
        await (await client.bulk("cancel", "not wanted")).wait()
        await tester.settle()
    assert sorted(told) == ["halt-0", "halt-1", "halt-2"]


async def test_a_workflow_that_is_not_deployed_has_no_jobs() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    client = Client(fragile([]), store, clock)
    with pytest.raises(UnknownWorkflow):
        await client.bulk("pause", "a test")
    assert await client.bulk_jobs() == []


async def test_a_deployment_of_earlier_code_refuses_jobs_and_the_error_says_what_to_do() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    described = describe_here(fragile([]))
    groups = dict(described.groups)
    del groups[bulk_group("parcels")]
    await merge(store, [msgspec.structs.replace(described, groups=groups)])
    client = Client(fragile([]), store, clock)
    with pytest.raises(BulkNotDeployed, match="deploy it again: `workflow-ray deploy`"):
        await client.bulk("pause", "a test")
    assert await client.bulk_jobs() == []
    await merge(store, [described])
    assert (await (await client.bulk("pause", "a test")).progress()).state is BulkState.RUNNING


async def test_a_job_keeps_as_much_of_a_reason_as_the_history_does() -> None:
    workflow = fragile([])
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        handle = (await client.trigger_many(triggers("halt", 1)))[0][0]
        await tester.settle()
        job = await client.bulk("cancel", "a\0b \ud83e" + "c" * 3000)
        await tester.settle()
        kept = "a\N{REPLACEMENT CHARACTER}b ?" + "c" * 1995
        assert (await job.progress()).reason == kept
        assert (await handle.history())[-1].reason == kept


@pytest.mark.parametrize(
    ("action", "given", "named"),
    [
        ("pause", {}, "reason"),
        ("cancel", {"reason": " "}, "reason"),
        ("move", {}, "to"),
        ("retry", {"failed": True, "run_state": RunState.PAUSED}, "run_state"),
        ("retry", {"status": []}, "status"),
        ("retry", {"run_state": ()}, "run_state"),
        ("retry", {"created_from": datetime(2026, 1, 1)}, "created_from"),  # noqa: DTZ001  it is wrong
        ("retry", {"created_from": datetime(1, 1, 1, tzinfo=EAST)}, "created_from"),
        ("retry", {"created_before": datetime(9999, 12, 31, 12, tzinfo=WEST)}, "created_before"),
        ("retry", {"updated_before": datetime(2026, 1, 1, tzinfo=Nowhere())}, "updated_before"),
        *(
            ("retry", {name: text}, name)
            for name in ("foreign_id", "parent", "child")
            for text in ("a\0b", "\ud83e", "x" * 256)
        ),
    ],
)
async def test_wrong_arguments_start_nothing(action: Any, given: Any, named: str) -> None:
    workflow = fragile([])
    async with WorkflowTester(workflow) as tester:
        client: Client[Any, Any] = tester.client(workflow)
        with pytest.raises(InvalidInput, match=named):
            await client.bulk(action, **given)
        with pytest.raises(InvalidInput, match=named):
            await client.bulk(action, **given, dry_run=True)
        assert await client.bulk_jobs() == []
