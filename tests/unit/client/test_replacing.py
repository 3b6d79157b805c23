"""Triggers that replace the unfinished run of their foreign id, and triggers with a delay."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import pytest
from pydantic import BaseModel

from tests.unit.faulty_store import FaultyStore
from tests.unit.parcels import Parcel, Route, routed
from workflow_ray import (
    Cause,
    Client,
    FlowControl,
    Handle,
    Run,
    RunState,
    Status,
    TriggerOutcome,
    Workflow,
)
from workflow_ray.engine.next_version import Next
from workflow_ray.errors import KeyReused
from workflow_ray.records import GroupResult, RunId, WriteGroup, new_write_id
from workflow_ray.testing import FakeClock, WorkflowTester


class Shelf(Status):
    SORTING = 1
    SORTED = 2
    LATE = 3


class Book(BaseModel):
    title: str = ""


def sorting(flow: FlowControl[Book, Shelf] | None = None) -> Workflow[Book, Shelf]:
    workflow = Workflow("books", Book, Shelf)

    @workflow.step(Shelf.SORTING, flow=flow)
    async def sort(run: Run[Book, Shelf]) -> Literal[Shelf.SORTED]:
        return Shelf.SORTED

    @workflow.timeout(Shelf.SORTING, after=5)
    async def late(run: Run[Book, Shelf]) -> Literal[Shelf.LATE]:
        return Shelf.LATE

    return workflow


class Moving:
    """A store in which other writes come first, as often as a test says."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FaultyStore(self.clock)
        self.groups: list[WriteGroup] = []
        self.moves: list[RunId] = []  # runs that are written before each next group of two writes
        self._store = self.store.store
        self.store.store = self._stored  # type: ignore[method-assign]  # it wraps the method of this one store
        self.client: Client[Parcel, Route] = Client(routed(), self.store, self.clock)

    async def _stored(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        self.groups += groups
        if self.moves and len(groups[0].writes) == 2:
            (record,) = await self.store.lookup([self.moves.pop()])
            assert record is not None
            write = Next(record, "step", new_write_id()).stay(Cause.STAY)
            await self._store([WriteGroup(writes=(write,))])
        return await self._store(groups)


async def test_a_replaced_run_is_cancelled_and_the_new_one_started_in_one_group() -> None:
    moving = Moving()
    first = await moving.client.trigger("1", Parcel(), if_active="replace")
    moving.groups.clear()
    second = await moving.client.trigger("1", Parcel(weight=2), if_active="replace")
    assert (first.outcome, second.outcome) == (TriggerOutcome.STARTED, TriggerOutcome.STARTED)
    run = await first.get()
    assert run.run_state is RunState.CANCELLED
    assert run.reason == f"it was replaced by run {second.run_id}"
    assert (await moving.client.latest("1")).run_id == second.run_id
    assert [len(group.writes) for group in moving.groups] == [1, 2]


async def test_a_run_that_moves_on_meanwhile_is_replaced_nevertheless() -> None:
    moving = Moving()
    first = await moving.client.trigger("1", Parcel())
    moving.moves = [first.run_id] * 3
    second = await moving.client.trigger("1", Parcel(), if_active="replace")
    assert (await first.get()).version == 5
    assert (await first.get()).run_state is RunState.CANCELLED
    assert (await second.get()).run_state is RunState.INITIATED


async def test_of_many_replacing_triggers_one_run_is_left() -> None:
    moving = Moving()
    handles = await asyncio.gather(
        *(
            moving.client.trigger("1", Parcel(weight=at), if_active="replace", idempotency_key=key)
            for at, key in enumerate("abcdefgh")
        )
    )
    states = [(await handle.get()).run_state for handle in handles]
    assert states.count(RunState.CANCELLED) == 7
    assert states.count(RunState.INITIATED) == 1


async def test_a_repeat_by_key_replaces_nothing() -> None:
    moving = Moving()
    first = await moving.client.trigger("1", Parcel(), if_active="replace", idempotency_key="k")
    second = await moving.client.trigger("1", Parcel(), if_active="replace")
    repeat = await moving.client.trigger("1", Parcel(), if_active="replace", idempotency_key="k")
    assert (repeat.run_id, repeat.outcome) == (first.run_id, TriggerOutcome.KNOWN)
    assert (await second.get()).run_state is RunState.INITIATED
    with pytest.raises(KeyReused):
        await moving.client.trigger("2", Parcel(), if_active="replace", idempotency_key="k")


# --- delays -------------------------------------------------------------------------------------


async def test_a_delayed_step_runs_when_the_delay_is_over_and_timeouts_count_from_then() -> None:
    workflow = sorting()
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        handle = await client.trigger("1", Book(), delay=timedelta(seconds=60))
        await tester.advance(59)
        assert (await handle.get()).status is Shelf.SORTING
        await tester.advance(1)
        assert (await handle.get()).status is Shelf.SORTED


async def test_replace_with_a_delay_is_a_debounce() -> None:
    workflow = sorting()
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        handles: list[Handle[Book, Shelf]] = []
        for at in range(5):
            handle = await client.trigger(
                "1", Book(title=f"edition {at}"), if_active="replace", delay=10
            )
            handles.append(handle)
            await tester.advance(9)
        await tester.advance(1)
        runs = [await handle.get() for handle in handles]
        assert [run.run_state for run in runs] == [RunState.CANCELLED] * 4 + [RunState.COMPLETED]
        assert runs[-1].data.title == "edition 4"


async def test_a_delayed_run_is_parked_when_the_delay_is_over() -> None:
    workflow = sorting(FlowControl(concurrency=1))
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        handle = await client.trigger("1", Book(), delay=60)
        assert [(each.admitted, each.waiting) for each in await client.limits()] == [(0, 1)]
        await tester.advance(60)
        assert (await handle.get()).status is Shelf.SORTED
        causes = [entry.cause for entry in await handle.history()]
        assert causes == [Cause.TRIGGER, Cause.PARKED, Cause.ADMITTED, Cause.STEP]
