"""The effect of what a step returns, and of its changes to the data."""

from datetime import timedelta
from itertools import pairwise
from typing import Literal, TypeAlias

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Route, RoutedRun, Stage, parcels
from workflow_ray import Cancel, Cause, Fatal, Pause, Repeat, Retry, RunState, Stay, Workflow
from workflow_ray.errors import NothingLeft
from workflow_ray.testing import WorkflowTester

Result: TypeAlias = Literal[Stage.NEW, Stage.DONE] | Cancel | Pause | Repeat | Stay


@pytest.mark.parametrize(
    "result", [Stage.DONE, Cancel("c"), Pause("p"), Repeat(timedelta(hours=1)), Stay()], ids=str
)
async def test_changes_to_the_data_are_saved_with_whatever_the_step_returns(result: Result) -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Result:
        run.data.weight += 1
        return result

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.settle()
        assert (await handle.get()).data.weight == 1
        assert [entry.data for entry in await handle.history()] == [Parcel(), Parcel(weight=1)]


async def test_assigned_data_is_saved_too() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        run.data = Parcel(label="another")
        return Stage.DONE

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        assert (await handle.wait()).data == Parcel(label="another")


async def test_changes_to_the_data_are_dropped_when_the_step_raises() -> None:
    workflow, seen = parcels(), list[int]()

    @workflow.step(Stage.NEW, retry=Retry(attempts=2))
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        seen.append(run.data.weight)
        run.data.weight += 1
        raise ValueError("broken")

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.advance(timedelta(minutes=1))
        assert (await handle.get()).data == Parcel()
    assert seen == [0, 0]


async def test_data_that_did_not_change_is_not_written_again() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel(weight=3))
        await handle.wait()
        assert [entry.data for entry in await handle.history()] == [Parcel(weight=3), None]


async def test_a_failing_step_is_tried_again_after_a_backoff_with_each_attempt_in_the_history() -> (
    None
):
    workflow = parcels()
    retry = Retry(attempts=3, backoff=timedelta(seconds=10), factor=2.0)

    @workflow.step(Stage.NEW, retry=retry)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        if run.attempt < 2:
            raise ValueError(f"broken {run.attempt}")
        return Stage.DONE

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.advance(timedelta(minutes=1))
        history = await handle.history()
    assert [(entry.cause, entry.reason) for entry in history] == [
        (Cause.TRIGGER, None),
        (Cause.RETRY, "ValueError: broken 0"),
        (Cause.RETRY, "ValueError: broken 1"),
        (Cause.STEP, None),
    ]
    waits = [(after.at - before.at).total_seconds() for before, after in pairwise(history[1:])]
    assert waits == pytest.approx(
        [retry.delay(handle.run_id, 1), retry.delay(handle.run_id, 2)], abs=1e-5
    )


async def test_a_fatal_error_is_not_tried_again() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        raise Fatal("a bug")

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.settle()
        assert [entry.cause for entry in await handle.history()] == [Cause.TRIGGER, Cause.FAILED]
        run = await handle.get()
    assert (run.run_state, run.reason) == (RunState.PAUSED, "Fatal: a bug")


async def test_a_run_without_attempts_enters_its_on_failure_status() -> None:
    workflow = Workflow("routed", Parcel, Route)

    @workflow.step(Route.NEW, retry=Retry(attempts=2), on_failure=Route.LOST)
    async def pack(run: RoutedRun) -> Literal[Route.PACKED]:
        raise ValueError("broken")

    @workflow.step(Route.PACKED)
    async def send(run: RoutedRun) -> Literal[Route.SENT]:
        return Route.SENT

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.advance(timedelta(minutes=1))
        run = await handle.wait_for(Route.LOST)
    assert (run.run_state, run.reason) == (RunState.COMPLETED, "ValueError: broken")


async def test_a_repeat_keeps_the_visit_and_its_idempotency_key() -> None:
    workflow, keys = parcels(), list[str]()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Repeat:
        keys.append(run.idempotency_key)
        return Stage.DONE if len(keys) == 3 else Repeat(timedelta(hours=1))

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.advance(timedelta(minutes=119))
        assert len(keys) == 2
        await tester.advance(timedelta(minutes=1))
        await handle.wait()
    assert keys == [f"{handle.run_id}:1"] * 3


async def test_a_retry_keeps_the_idempotency_key() -> None:
    workflow, keys = parcels(), list[str]()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        keys.append(run.idempotency_key)
        raise ValueError("broken")

    async with WorkflowTester(workflow) as tester:
        await tester.client(workflow).trigger("1", Parcel())
        await tester.advance(timedelta(minutes=1))
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_returning_the_own_status_is_a_new_visit_with_a_key_of_its_own() -> None:
    workflow, keys = parcels(), list[str]()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.NEW, Stage.DONE]:
        keys.append(run.idempotency_key)
        return Stage.DONE if len(keys) == 2 else Stage.NEW

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await handle.wait()
    assert keys == [f"{handle.run_id}:1", f"{handle.run_id}:2"]


async def test_a_run_that_stays_rests_until_something_else_moves_it() -> None:
    workflow, calls = parcels(), list[str]()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Stay:
        calls.append(run.run_id)
        return Stay()

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.advance(timedelta(days=30))
        with pytest.raises(NothingLeft, match="nothing is due, ever"):
            await handle.wait()
        assert (await handle.get()).run_state is RunState.RUNNING
    assert len(calls) == 1


async def test_a_cancelled_run_frees_its_foreign_id() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Cancel:
        return Cancel("empty")

    async with WorkflowTester(workflow) as tester:
        first = await tester.client(workflow).trigger("1", Parcel())
        run = await first.wait()
        assert (run.run_state, run.status, run.reason) == (RunState.CANCELLED, Stage.NEW, "empty")
        second = await tester.client(workflow).trigger("1", Parcel())
    assert second.run_id != first.run_id
