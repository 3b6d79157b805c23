"""Middleware runs around the calls of batch steps."""

from datetime import timedelta
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Stage
from tests.unit.roles.layers import TENANT, Noting
from workflow_ray import (
    FunctionCall,
    Proceed,
    Retry,
    RunState,
    Workflow,
)
from workflow_ray.testing import WorkflowTester


@pytest.mark.parametrize("is_async", [True, False])
async def test_it_runs_once_around_each_call_of_a_batch_step(is_async: bool) -> None:
    noting, seen = Noting(), list[str]()

    async def for_batch(call: FunctionCall, proceed: Proceed) -> object:
        TENANT.set(f"tenant of {len(call.runs)} runs")
        return await proceed()

    workflow = Workflow("parcels", Parcel, Stage, middleware=[noting, for_batch])

    def packed(runs: list[ParcelRun]) -> list[Literal[Stage.DONE] | Exception]:
        seen.append(TENANT.get())
        return [ValueError("broken") if run.foreign_id == "bad" else Stage.DONE for run in runs]

    if is_async:

        @workflow.batch_step(Stage.NEW, max_batch=10, max_wait=1, retry=Retry(attempts=1))
        async def pack(runs: list[ParcelRun]) -> list[Literal[Stage.DONE] | Exception]:
            return packed(runs)
    else:

        @workflow.batch_step(Stage.NEW, max_batch=10, max_wait=1, retry=Retry(attempts=1))
        def pack_plainly(runs: list[ParcelRun]) -> list[Literal[Stage.DONE] | Exception]:
            return packed(runs)

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        handles = [await client.trigger(name, Parcel()) for name in ("good", "bad")]
        await tester.advance(timedelta(seconds=5))
        states = [(await handle.get()).run_state for handle in handles]
    assert states == [RunState.COMPLETED, RunState.PAUSED]
    (call,) = noting.calls
    assert (call.kind, call.run, call.attempt) == ("batch_step", None, 1)
    assert {run.foreign_id for run in call.runs} == {"good", "bad"}
    assert seen == ["tenant of 2 runs"]


async def test_what_it_raises_around_a_batch_halves_the_batch_as_an_error_of_the_function() -> None:
    sizes = list[int]()

    async def refusing(call: FunctionCall, proceed: Proceed) -> object:
        sizes.append(len(call.runs))
        if len(call.runs) > 1:
            raise MemoryError("too many")
        return await proceed()

    workflow = Workflow("parcels", Parcel, Stage, middleware=[refusing])

    @workflow.batch_step(Stage.NEW, max_batch=10, max_wait=1, retry=Retry(attempts=1))
    async def pack(runs: list[ParcelRun]) -> list[Literal[Stage.DONE] | Exception]:
        return [Stage.DONE for _ in runs]

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        handles = [await client.trigger(name, Parcel()) for name in ("a", "b")]
        await tester.advance(timedelta(minutes=5))
        states = [(await handle.get()).run_state for handle in handles]
    assert states == [RunState.COMPLETED, RunState.COMPLETED]
    assert sorted(sizes) == [1, 1, 2]
