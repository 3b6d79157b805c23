"""A step that takes long learns from `run.cancelled` that its result will be dropped."""

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Literal

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, Route, RoutedRun
from workflow_ray import CancelledEvent, Cause, Handle, Run, RunState, Workflow
from workflow_ray.errors import InvalidInput
from workflow_ray.records import Record, RunId, Version
from workflow_ray.testing import WorkflowTester

Routed = Workflow[Parcel, Route]
LATEST = 5.0
"""Seconds after which a step must have learned it."""


class Waiting:
    """A workflow whose step waits until its result will be dropped, or for its gate."""

    def __init__(self) -> None:
        self.begun = list[int]()  # versions
        self.told = list[int]()
        self.gate = asyncio.Event()
        self.workflow: Routed = Workflow("routed", Parcel, Route, entry=tuple(Route))

        @self.workflow.step(Route.NEW)
        async def pack(run: RoutedRun) -> Literal[Route.PACKED]:
            self.begun.append(run.version)
            tasks = {asyncio.create_task(each) for each in (run.cancelled.wait(), self.gate.wait())}
            _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            if run.cancelled.is_set():
                self.told.append(run.version)
                raise ValueError("what it raises then does not count")
            return Route.PACKED

        @self.workflow.callback(Route.PACKED)
        async def send(run: RoutedRun, message: str) -> Literal[Route.SENT]:
            return Route.SENT


async def waiting(bench: Bench, case: Waiting) -> Handle[Parcel, Route]:
    await bench.publisher()
    await bench.all_consumers()
    handle = await bench.client(case.workflow).trigger("1", Parcel())
    await bench.pass_time()
    return handle


@pytest.mark.parametrize("action", ["cancel", "pause", "move", "retry"])
async def test_a_long_step_is_told_of_each_control_of_its_run(
    action: str, caplog: pytest.LogCaptureFixture
) -> None:
    case = Waiting()
    async with Bench(case.workflow) as bench:
        handle = await waiting(bench, case)
        await bench.pass_time(LATEST)
        assert not case.told
        match action:
            case "cancel":
                await handle.cancel("x")
            case "pause":
                await handle.pause("x")
            case "move":
                await handle.move(Route.PACKED, "x")
            case _:
                await handle.pause("x")
                await handle.resume()
        await bench.pass_time()
        assert case.told == [1]
        assert "failed" not in caplog.text, "it is not a failure"
        history = [entry.cause for entry in await handle.history()]
        assert Cause.RETRY not in history
        assert len(case.begun) == (2 if action == "retry" else 1)


async def test_a_step_that_has_just_begun_is_told_a_little_later() -> None:
    case = Waiting()
    async with Bench(case.workflow) as bench:
        handle = await waiting(bench, case)
        await handle.cancel("x")
        await bench.pass_time()
        assert not case.told
        await bench.pass_time(LATEST)
        assert case.told == [1]


async def test_a_step_whose_run_stays_is_not_told_and_its_result_counts() -> None:
    case = Waiting()
    async with Bench(case.workflow) as bench:
        handle = await waiting(bench, case)
        await bench.client(case.workflow).trigger("2", Parcel())
        await bench.pass_time(60)
        case.gate.set()
        await bench.pass_time()
        assert (await handle.get()).status is Route.PACKED
        assert case.told == []


async def test_steps_that_do_not_ask_and_short_ones_cost_no_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workflow: Routed = Workflow("routed", Parcel, Route, entry=tuple(Route))
    gate = asyncio.Event()

    @workflow.step(Route.NEW)
    async def pack(run: RoutedRun) -> Literal[Route.PACKED]:
        if run.foreign_id == "short":
            assert not run.cancelled.is_set()
        else:
            await gate.wait()
        return Route.PACKED

    @workflow.step(Route.PACKED)
    async def send(run: RoutedRun) -> Literal[Route.SENT]:
        return Route.SENT

    async with Bench(workflow) as bench:
        calls = watches(bench, monkeypatch)
        await bench.publisher()
        await bench.all_consumers()
        for name in ("short", "long"):
            await bench.client(workflow).trigger(name, Parcel())
        await bench.pass_time(60)
        gate.set()
        await bench.pass_time()
        assert calls == []


async def test_all_long_steps_of_a_role_share_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Waiting()
    async with Bench(case.workflow) as bench:
        handles = [await waiting(bench, case)]
        calls = watches(bench, monkeypatch)
        for number in range(2, 52):
            handles.append(await bench.client(case.workflow).trigger(f"{number}", Parcel()))
        await bench.pass_time(LATEST)
        assert len(calls[-1]) == 51
        assert len(calls) <= 3
        await asyncio.gather(*(handle.cancel("x") for handle in handles))
        await bench.pass_time(LATEST)
        assert len(case.told) == 51


def watches(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[Mapping[RunId, Version]]:
    """Note what roles watch from now on."""
    calls = list[Mapping[RunId, Version]]()
    watch = bench.whole.watch

    async def noted(
        seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        calls.append(seen)
        return await watch(seen, wait=wait, at_rest=at_rest)

    monkeypatch.setattr(bench.whole, "watch", noted)
    return calls


async def test_a_plain_function_asks_in_its_thread() -> None:
    workflow: Routed = Workflow("routed", Parcel, Route, entry=tuple(Route))
    told = threading.Event()

    @workflow.step(Route.NEW)
    def pack(run: RoutedRun) -> Literal[Route.SENT]:
        while not run.cancelled.is_set():
            time.sleep(0.001)
        told.set()
        return Route.SENT

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle = await bench.client(workflow).trigger("1", Parcel())
        await bench.pass_time()
        await handle.cancel("x")
        while not told.is_set():
            await bench.pass_time(1)
            await asyncio.sleep(0.001)
        await bench.pass_time()
        assert (await handle.get()).run_state is RunState.CANCELLED


async def test_a_plain_function_that_exceeds_its_time_limit_is_told_at_once() -> None:
    workflow: Routed = Workflow("routed", Parcel, Route, entry=tuple(Route))
    told, begun = threading.Event(), threading.Event()

    @workflow.step(Route.NEW, timeout=10)
    def pack(run: RoutedRun) -> Literal[Route.SENT]:
        begun.set()
        while not run.cancelled.is_set():
            time.sleep(0.001)
        told.set()
        return Route.SENT

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.all_consumers()
        await bench.client(workflow).trigger("1", Parcel())
        await bench.pass_time()
        await asyncio.to_thread(begun.wait, 10)
        await bench.pass_time(11)
        assert await asyncio.to_thread(told.wait, 10)


async def test_a_step_that_an_ending_role_abandons_is_told() -> None:
    workflow: Routed = Workflow("routed", Parcel, Route, entry=tuple(Route))
    told, begun = threading.Event(), threading.Event()

    @workflow.step(Route.NEW)
    def pack(run: RoutedRun) -> Literal[Route.SENT]:
        event = run.cancelled
        begun.set()
        while not event.is_set():
            time.sleep(0.001)
        assert run.cancelled is event
        told.set()
        return Route.SENT

    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Route.NEW)
        await bench.client(workflow).trigger("1", Parcel())
        await bench.pass_time()
        await asyncio.to_thread(begun.wait, 10)
        await consumer.kill()
        assert await asyncio.to_thread(told.wait, 10)


# --- the event alone ----------------------------------------------------------------------------


async def test_a_test_sets_the_event_of_a_run_made_by_hand() -> None:
    run = Run(Parcel(), Route.NEW)
    assert not run.cancelled.is_set()
    waits = [asyncio.create_task(run.cancelled.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waits[0].cancel()
    run.cancelled.set()
    await asyncio.gather(*waits[1:])
    await run.cancelled.wait()
    assert run.cancelled.is_set()


async def test_the_event_wakes_waits_in_other_event_loops() -> None:
    event = CancelledEvent()
    thread = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(event.wait())))
    await asyncio.sleep(0.01)
    event.set()
    await asyncio.wait_for(thread, 10)


async def test_a_run_that_a_client_reads_has_no_event() -> None:
    workflow = Waiting().workflow
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        with pytest.raises(InvalidInput, match=r"run\.cancelled: this run was only read"):
            _ = (await handle.get()).cancelled
