"""Clients follow the history of a run while it goes on."""

import asyncio
from datetime import timedelta
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, packing, parcels
from workflow_ray import Cause, Handle, Repeat, RunState
from workflow_ray.client import following
from workflow_ray.errors import RunNotFound
from workflow_ray.records import new_run_id
from workflow_ray.testing import WorkflowTester

REPEATS = 5


def repeating() -> Parcels:
    """Make a workflow whose step repeats itself an hour later, five times, and then succeeds."""
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Repeat:
        run.data.weight += 1
        return Stage.DONE if run.data.weight > REPEATS else Repeat(timedelta(hours=1))

    return workflow


async def versions(handle: Handle[Parcel, Stage], after: int = 0) -> list[int]:
    return [entry.version async for entry in handle.follow(after=after)]


async def test_every_version_comes_once_and_in_order_and_the_end_of_the_run_is_the_end() -> None:
    workflow = repeating()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        early = asyncio.create_task(versions(handle))
        late = asyncio.create_task(versions(handle, after=4))
        await tester.advance(timedelta(hours=REPEATS))
        assert await early == list(range(1, REPEATS + 3))
        assert await late == list(range(5, REPEATS + 3))
        entries = [entry async for entry in handle.follow()]
        assert entries == await handle.history()
        assert entries[-1].run_state is RunState.COMPLETED


async def test_a_version_comes_as_soon_as_it_is_written() -> None:
    workflow = repeating()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        entries = aiter(handle.follow())
        assert (await anext(entries)).cause is Cause.TRIGGER
        assert (await anext(entries)).cause is Cause.REPEAT
        waiting = asyncio.ensure_future(anext(entries))
        await handle.cancel("enough")
        assert (await waiting).cause is Cause.CANCEL
        with pytest.raises(StopAsyncIteration):
            await anext(entries)


async def test_long_histories_are_read_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAGE", 2)
    workflow = repeating()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.advance(timedelta(hours=REPEATS))
        assert await versions(handle) == list(range(1, REPEATS + 3))


async def test_after_the_last_version_of_a_finished_run_nothing_comes() -> None:
    workflow = packing()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await handle.wait()
        assert await versions(handle, after=2) == []
        assert await versions(handle, after=1) == [2]


async def test_a_run_that_does_not_exist_can_not_be_followed() -> None:
    workflow = packing()
    async with WorkflowTester(workflow) as tester:
        handle = tester.client(workflow).handle(new_run_id())
        with pytest.raises(RunNotFound):
            await versions(handle)
