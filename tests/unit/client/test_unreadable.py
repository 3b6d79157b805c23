"""A run that the code can no longer read is an item that says why, and hides no other run."""

import asyncio
from datetime import timedelta
from typing import Any, Literal, TypeAlias

import pytest
from pydantic import BaseModel

from tests.unit.parcels import Parcel, ParcelRun, Route, RoutedRun, Stage
from workflow_ray import Client, Handle, Run, RunState, Workflow
from workflow_ray.errors import RunPaused, UnknownStatus, UnreadableData, WaitTimeout
from workflow_ray.records import Awaits, Cause, RunId, Write, WriteGroup, new_write_id
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore


class Newer(BaseModel):
    """The newer model: it has a field that the stored data does not have."""

    weight: int = 0
    colour: str


OldHandle: TypeAlias = Handle[Parcel, Route]
ROUTED = Workflow("routed", Parcel, Route)
NEWER = Workflow("routed", Newer, Route)
FEWER = Workflow("routed", Parcel, Stage)


@ROUTED.step(Route.NEW)
async def pack(run: RoutedRun) -> Literal[Route.PACKED, Route.SENT, Route.LOST]:
    return Route.PACKED


@NEWER.step(Route.NEW)
async def pack_newer(run: Run[Newer, Route]) -> Literal[Route.PACKED, Route.SENT, Route.LOST]:
    return Route.PACKED


@FEWER.step(Stage.NEW)
async def pack_fewer(run: ParcelRun) -> Literal[Stage.DONE]:
    return Stage.DONE


WORKFLOWS: list[Workflow[Any, Any]] = [NEWER, FEWER]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
async def handle(store: MemoryStore, clock: FakeClock) -> Handle[Parcel, Route]:
    """Trigger a run by the earlier code."""
    return await Client(ROUTED, store, clock).trigger("1", Parcel(weight=3), start_at=Route.NEW)


async def move(
    store: MemoryStore, run_id: RunId, status: Route, run_state: RunState = RunState.RUNNING
) -> None:
    (record,) = await store.lookup([run_id])
    assert record is not None
    cause = Cause.FAILED if run_state is RunState.PAUSED else Cause.STEP
    write = Write(
        run_id=run_id,
        write_id=new_write_id(),
        expected=record.version,
        status=status.value,
        run_state=run_state,
        visit=record.version,
        cause=cause,
        by="test",
        reason="no box",
        awaits=Awaits.MESSAGE,
    )
    await store.store([WriteGroup(writes=(write,))])


async def test_data_that_no_longer_fits_raises_when_it_is_read(
    store: MemoryStore, clock: FakeClock, handle: OldHandle
) -> None:
    client = Client(NEWER, store, clock)
    await client.trigger("2", Newer(colour="red"))
    old, new = [run async for run in client.runs()]
    assert (old.foreign_id, old.status, old.run_state) == ("1", Route.NEW, RunState.INITIATED)
    assert (
        old.unreadable
        == f"the data of run {handle.run_id} doesn't fit the model of 'routed': colour: Field"
        " required"
    )
    with pytest.raises(UnreadableData, match="colour: Field required"):
        _ = old.data
    assert (new.unreadable, new.data) == (None, Newer(colour="red"))
    (entry,) = await client.handle(handle.run_id).history()
    assert (entry.version, entry.status) == (1, Route.NEW)
    assert entry.unreadable is not None
    with pytest.raises(UnreadableData):
        _ = entry.data


async def test_a_status_that_was_removed_raises_when_it_is_read(
    store: MemoryStore, clock: FakeClock, handle: OldHandle
) -> None:
    await move(store, handle.run_id, Route.LOST)
    client = Client(FEWER, store, clock)
    (run,) = [run async for run in client.runs()]
    assert run.data == Parcel(weight=3)
    assert (
        run.unreadable
        == f"run {handle.run_id} of 'routed' is at status 4, which its Status doesn't have. Put it"
        " back."
    )
    with pytest.raises(UnknownStatus):
        _ = run.status
    assert repr(run).startswith(f"<Run {handle.run_id}")
    assert await client.counts() == {(4, RunState.RUNNING): 1}
    first, second = await client.handle(handle.run_id).history()
    assert (first.status, str(second)) == (Stage.NEW, "2 status 4 RUNNING STEP by test (no box)")


async def test_waits_for_what_can_not_be_read_give_their_own_errors(
    store: MemoryStore, clock: FakeClock, handle: OldHandle
) -> None:
    for workflow in WORKFLOWS:
        await move(store, handle.run_id, Route.LOST)
        waiting = asyncio.create_task(
            Client(workflow, store, clock).handle(handle.run_id).wait(timeout=5)
        )
        await clock.advance(timedelta(seconds=5))
        with pytest.raises(WaitTimeout, match="Its last history: "):
            await waiting
    await move(store, handle.run_id, Route.LOST, RunState.PAUSED)
    for workflow in WORKFLOWS:
        with pytest.raises(RunPaused, match=r"is paused at (LOST|status 4) by an error: no box"):
            await Client(workflow, store, clock).handle(handle.run_id).wait()


async def test_a_run_that_can_be_read_is_read_once(
    store: MemoryStore, clock: FakeClock, handle: OldHandle
) -> None:
    run = await handle.get()
    assert run.data is run.data
    run.data = Parcel(weight=7)
    assert run.data.weight == 7
