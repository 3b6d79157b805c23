"""WorkflowTester: whole runs by a clock that stands still."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from tests.unit.parcels import (
    Parcel,
    ParcelRun,
    Parcels,
    Route,
    RoutedRun,
    Stage,
    packing,
    parcels,
)
from workflow_ray import Repeat, Retry, RunState, Workflow, resource
from workflow_ray.errors import InvalidDefinition, NothingLeft, UnknownWorkflow
from workflow_ray.testing import WorkflowTester


def failing() -> Parcels:
    workflow = parcels()

    @workflow.step(Stage.NEW, retry=Retry(attempts=2, backoff=timedelta(seconds=60)))
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        raise ValueError("broken")

    return workflow


async def test_a_wait_that_only_time_can_end_says_what_is_due_and_when() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Repeat:
        return Repeat(timedelta(hours=int(run.foreign_id)))

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        await client.trigger("2", Parcel())
        first = await client.trigger("1", Parcel())
        with pytest.raises(NothingLeft) as raised:
            await first.wait_for(Stage.DONE, timeout=timedelta(seconds=5))
        assert tester.due() == raised.value.due
    assert raised.value.due == [
        "parcels '1' at NEW, again at 2030-01-01 01:00:00 (in 3600 s)",
        "parcels '2' at NEW, again at 2030-01-01 02:00:00 (in 7200 s)",
    ]
    assert str(raised.value).startswith(
        "waiting for parcels '1' at NEW, RUNNING, but nothing goes on without time passing. Due:"
        " parcels"
    )
    assert str(raised.value).endswith("Call `advance`.")


async def test_what_becomes_due_while_time_passes_happens_at_its_own_time_in_order() -> None:
    workflow, start = parcels(), datetime(2031, 5, 1, tzinfo=UTC)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Repeat:
        return Repeat(timedelta(hours=int(run.foreign_id)))

    async with WorkflowTester(workflow, start=start) as tester:
        client = tester.client(workflow)
        handles = [await client.trigger(foreign_id, Parcel()) for foreign_id in ("3", "2")]
        await tester.advance(timedelta(hours=6))
        assert tester.now == start + timedelta(hours=6)
        hours = [
            [(entry.at - start) / timedelta(hours=1) for entry in (await handle.history())[1:]]
            for handle in handles
        ]
    assert hours == [[0, 3, 6], [0, 2, 4, 6]]


async def test_two_days_pass_in_less_than_five_seconds() -> None:
    workflow, calls = parcels(), list[str]()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Repeat:
        calls.append(run.run_id)
        return Stage.DONE if len(calls) == 50 else Repeat(timedelta(hours=1))

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        async with asyncio.timeout(5):
            await tester.advance(timedelta(hours=49))
        assert (await handle.get()).status is Stage.DONE


async def test_a_step_in_a_thread_is_waited_for() -> None:
    workflow, gate = parcels(), threading.Event()

    @workflow.step(Stage.NEW)
    def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        gate.wait()
        return Stage.DONE

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        waiting = asyncio.create_task(handle.wait())
        await asyncio.sleep(0)
        gate.set()
        assert (await waiting).status is Stage.DONE


@pytest.mark.parametrize("turns", range(60))
async def test_a_step_is_waited_for_whenever_it_ends(turns: int) -> None:
    workflow = Workflow("parcels", Parcel, Route, entry=[Route.LOST])

    @workflow.step(Route.NEW)
    async def pack(run: RoutedRun) -> Literal[Route.PACKED]:
        for _ in range(turns):  # it may end in the last turns that the tester lets pass
            await asyncio.sleep(0)
        return Route.PACKED

    @workflow.step(Route.PACKED)
    async def send(run: RoutedRun) -> Literal[Route.SENT]:
        return Route.SENT

    async with WorkflowTester(workflow) as tester:
        run = await (await tester.client(workflow).trigger("1", Parcel())).wait()
    assert run.status is Route.SENT


async def test_retries_wait_for_time_to_pass() -> None:
    workflow = failing()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.settle()
        assert (await handle.get()).run_state is RunState.RUNNING
        await tester.advance(timedelta(seconds=60))
        assert (await handle.get()).run_state is RunState.PAUSED
        assert tester.due() == []


async def test_the_client_of_a_workflow_that_is_not_under_test_is_refused() -> None:
    async with WorkflowTester(packing()) as tester:
        with pytest.raises(UnknownWorkflow, match="not the workflow 'parcels' that runs here"):
            tester.client(packing())


async def test_mistakes_of_a_definition_are_raised_on_entering() -> None:
    workflow = parcels()
    with pytest.raises(
        InvalidDefinition, match=r"nothing leads from the start, Stage\.NEW, to Stage\.DONE"
    ):
        await WorkflowTester(workflow).__aenter__()


# --- roles that crash ---------------------------------------------------------------------------


@resource
async def broken() -> AsyncIterator[str]:
    raise OSError("no such printer")
    yield "never"


async def test_a_resource_that_fails_to_open_is_raised_and_leaves_no_role_behind() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun, by: str = broken.value) -> Literal[Stage.DONE]:
        return Stage.DONE

    before = asyncio.all_tasks()
    with pytest.raises(OSError, match="no such printer"):
        await WorkflowTester(workflow).__aenter__()
    assert asyncio.all_tasks() == before


@resource
async def breaks_when_closed() -> AsyncIterator[str]:
    yield "printer"
    raise OSError("paper jam")


async def test_a_resource_that_fails_to_close_is_raised_at_the_end() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun, by: str = breaks_when_closed.value) -> Literal[Stage.DONE]:
        return Stage.DONE

    with pytest.raises(OSError, match="paper jam"):
        async with WorkflowTester(workflow) as tester:
            await (await tester.client(workflow).trigger("1", Parcel())).wait()


async def test_a_test_that_fails_does_not_wait_for_a_step_that_never_ends() -> None:
    workflow, begun = parcels(), asyncio.Event()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        begun.set()
        await asyncio.Event().wait()
        return Stage.DONE

    async def failing_test() -> None:
        async with WorkflowTester(workflow) as tester:
            await tester.client(workflow).trigger("1", Parcel())
            await begun.wait()
            raise AssertionError("as a test fails")

    with pytest.raises(AssertionError, match="as a test fails"):
        await failing_test()


async def test_a_batch_begins_when_nothing_can_join_it_without_time_passing() -> None:
    workflow, sizes = parcels(), list[int]()

    @workflow.batch_step(Stage.NEW, max_wait=timedelta(hours=1))
    def pack(runs: list[ParcelRun]) -> list[Literal[Stage.DONE]]:
        sizes.append(len(runs))
        return [Stage.DONE for _ in runs]

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        handles = [await client.trigger(f"{number}", Parcel()) for number in range(5)]
        for handle in handles:
            assert (await handle.wait()).status is Stage.DONE
        assert tester.now == datetime(2030, 1, 1, tzinfo=UTC)
    assert sizes == [5]
