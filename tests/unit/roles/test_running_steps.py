"""Where steps run, which arguments they get, and how many run at a time."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray import Cancel, Trigger, resource
from workflow_ray.testing import WorkflowTester

shop: ContextVar[str] = ContextVar("shop")


async def test_a_plain_function_runs_in_a_thread_and_sees_context_variables() -> None:
    workflow, seen = parcels(), list[tuple[bool, str]]()
    shop.set("north")

    @workflow.step(Stage.NEW)
    def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        seen.append((threading.current_thread() is threading.main_thread(), shop.get()))
        return Stage.DONE

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await handle.wait()
    assert seen == [(False, "north")]


async def test_an_async_function_runs_in_the_event_loop() -> None:
    workflow, seen = parcels(), list[asyncio.AbstractEventLoop]()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        seen.append(asyncio.get_running_loop())
        return Stage.DONE

    async with WorkflowTester(workflow) as tester:
        await (await tester.client(workflow).trigger("1", Parcel())).wait()
    assert seen == [asyncio.get_running_loop()]


# --- side by side -------------------------------------------------------------------------------


def gated(
    gates: dict[str, asyncio.Event], started: list[str], *, max_in_flight: int = 100
) -> Parcels:
    """Its step waits for the gate of the run's foreign id, if there is one."""
    workflow = parcels()

    @workflow.step(Stage.NEW, max_in_flight=max_in_flight)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        started.append(run.foreign_id)
        if run.foreign_id in gates:
            await gates[run.foreign_id].wait()
        return Stage.DONE

    return workflow


async def test_a_slow_step_delays_no_other_run() -> None:
    gate = asyncio.Event()
    workflow = gated({"slow": gate}, [])
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        slow = await client.trigger("slow", Parcel())
        others = await client.trigger_many(Trigger(f"{n}", Parcel()) for n in range(300))
        for handle, _ in others:
            await handle.wait()
        assert (await slow.get()).status is Stage.NEW
        gate.set()
        await slow.wait()


async def test_no_more_runs_are_worked_on_at_a_time_than_the_step_allows() -> None:
    gates, started = {f"{n}": asyncio.Event() for n in range(6)}, list[str]()
    workflow = gated(gates, started, max_in_flight=2)
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        handles = {n: await client.trigger(n, Parcel()) for n in gates}
        while len(started) < len(gates):
            await asyncio.sleep(0)
            open_gates = [n for n in started if not gates[n].is_set()]
            assert len(open_gates) <= 2
            if len(open_gates) == 2:
                gates[open_gates[0]].set()
                await handles[open_gates[0]].wait()
        for gate in gates.values():
            gate.set()
    assert sorted(started) == sorted(gates)


async def test_a_run_that_always_fails_delays_no_other_run() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        if run.foreign_id == "bad":
            raise ValueError("broken")
        return Stage.DONE

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        await client.trigger("bad", Parcel())
        before = tester.now
        for handle, _ in await client.trigger_many(Trigger(f"{n}", Parcel()) for n in range(100)):
            await handle.wait()
        assert tester.now == before


# --- resources ----------------------------------------------------------------------------------

events: list[str] = []


@resource
async def scales() -> AsyncIterator[str]:
    events.append("open scales")
    yield "scales"
    events.append("close scales")


@resource
async def printer() -> AsyncIterator[str]:
    events.append("open printer")
    yield "printer"
    events.append("close printer")


@pytest.fixture(autouse=True)
def no_events() -> None:
    events.clear()


def weighed() -> Parcels:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(
        run: ParcelRun, on: str = scales.value, *, by: str = printer.value
    ) -> Literal[Stage.DONE] | Cancel:
        events.append(f"{run.foreign_id} on {on} by {by}")
        return Stage.DONE

    return workflow


async def test_resources_are_opened_once_before_the_first_run_and_closed_after_the_last() -> None:
    workflow = weighed()
    async with WorkflowTester(workflow) as tester:
        assert events == ["open scales", "open printer"]
        for foreign_id in ("1", "2"):
            await (await tester.client(workflow).trigger(foreign_id, Parcel())).wait()
    assert events[2:] == [
        "1 on scales by printer",
        "2 on scales by printer",
        "close printer",
        "close scales",
    ]


async def test_a_step_gets_the_value_that_replaces_a_resource_which_is_never_opened() -> None:
    workflow = weighed()
    async with WorkflowTester(workflow, resources={scales: "a toy"}) as tester:
        await (await tester.client(workflow).trigger("1", Parcel())).wait()
    assert events == ["open printer", "1 on a toy by printer", "close printer"]


async def test_what_is_in_hand_is_finished_before_resources_are_closed() -> None:
    workflow, begun, gate = parcels(), asyncio.Event(), asyncio.Event()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun, on: str = scales.value) -> Literal[Stage.DONE]:
        begun.set()
        await gate.wait()
        events.append("packed")
        return Stage.DONE

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await begun.wait()
        gate.set()
    assert events == ["open scales", "packed", "close scales"]
    assert (await handle.get()).status is Stage.DONE
