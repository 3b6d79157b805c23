"""The reason of a failed run, and errors within groups of errors."""

import asyncio
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Stage, parcels
from workflow_ray import Fatal, RunState
from workflow_ray.errors import RunPaused
from workflow_ray.testing import WorkflowTester


@pytest.mark.parametrize("depth", [1, 2])
async def test_fatal_is_found_in_groups_of_errors_and_the_reason_names_each_error_once(
    depth: int,
) -> None:
    workflow = parcels()

    async def fail(error: Exception) -> None:
        raise error

    async def fail_together(depth: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(ValueError("no box")))
            group.create_task(fail(ValueError("no box")))
            group.create_task(fail(Fatal("a bug")) if depth == 1 else fail_together(depth - 1))
            await asyncio.sleep(0)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await fail_together(depth)
        return Stage.DONE

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("bad", Parcel())
        await tester.settle()
        run = await handle.get()
    assert (run.run_state, run.attempt) == (RunState.PAUSED, 1)
    assert run.reason == "ExceptionGroup: Fatal: a bug; ValueError: no box"


async def test_the_reason_of_a_large_group_names_ten_errors_and_the_fatal_one_first() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        raise ExceptionGroup("all", [*(ValueError(number) for number in range(50)), Fatal("a bug")])

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("bad", Parcel())
        await tester.settle()
        reason = (await handle.get()).reason
    assert reason is not None
    assert reason.startswith("ExceptionGroup: Fatal: a bug; ValueError: 0; ")
    assert reason.endswith("ValueError: 8; and 41 others")


async def test_a_fatal_error_counts_however_deeply_groups_are_nested() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        error: Exception = Fatal("a bug")
        for _ in range(3000):
            error = ExceptionGroup[Exception]("nested", [error])
        raise error

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("bad", Parcel())
        with pytest.raises(RunPaused, match=r"by an error: ExceptionGroup: Fatal: a bug\. Mend"):
            await handle.wait()
        assert (await handle.get()).attempt == 1
