"""The time limit of a step: an attempt that takes longer has failed, and delays no other run."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Literal

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Route, RoutedRun, Stage, parcels
from workflow_ray import (
    Cause,
    FunctionCall,
    Handle,
    Middleware,
    Proceed,
    Retry,
    RunState,
    Workflow,
)
from workflow_ray.records import Role, consumer_group
from workflow_ray.roles.steps import CANCELLING
from workflow_ray.roles.threads import MAX_ABANDONED

LIMIT = 10.0
ONCE = Retry(attempts=1)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """A gate for plain steps. It is opened at the end of the test, so that their threads end."""
    gate = threading.Event()
    yield gate
    gate.set()


def hanging(*, retry: Retry = ONCE, stubborn: bool = False) -> Parcels:
    """Its async step hangs for the run "bad". A stubborn one ignores the first cancellation."""
    workflow = parcels()
    cancelled = 0

    @workflow.step(Stage.NEW, timeout=timedelta(seconds=LIMIT), max_in_flight=1, retry=retry)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        nonlocal cancelled
        while run.foreign_id == "bad":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1
                if cancelled > stubborn:
                    raise
        return Stage.DONE

    return workflow


async def passing(call: FunctionCall, proceed: Proceed) -> object:
    return await proceed()


def hanging_in_a_thread(
    gate: threading.Event, begun: list[str], middleware: Sequence[Middleware] = ()
) -> Parcels:
    """Its plain step hangs for the runs whose foreign id begins with "bad"."""
    workflow = Workflow("parcels", Parcel, Stage, middleware=middleware)

    @workflow.step(Stage.NEW, timeout=LIMIT, max_in_flight=1, retry=ONCE)
    def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        begun.append(run.foreign_id)
        if run.foreign_id.startswith("bad"):
            gate.wait()
        return Stage.DONE

    return workflow


async def state(handle: Handle[Parcel, Stage]) -> RunState:
    return (await handle.get()).run_state


async def test_an_async_step_is_cancelled_at_its_limit_and_the_next_run_has_its_turn() -> None:
    workflow = hanging()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "bad", "good")
        await bench.pass_time(LIMIT - 1)
        assert await state(runs["bad"]) is RunState.INITIATED
        await bench.pass_time(1)
        bad, good = [await handle.get() for handle in runs.values()]
        assert (bad.run_state, bad.reason) == (
            RunState.PAUSED,
            "it took longer than 10 s (timeout=10)",
        )
        assert good.run_state is RunState.COMPLETED


async def test_each_attempt_has_the_limit_for_itself_and_counts() -> None:
    workflow = hanging(retry=Retry(attempts=2, backoff=timedelta(0)))
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "bad")
        await bench.pass_time(LIMIT)
        assert (await runs["bad"].get()).attempt == 1
        await bench.pass_time(LIMIT)
        assert await bench.causes(runs["bad"].run_id) == [Cause.TRIGGER, Cause.RETRY, Cause.FAILED]


async def test_a_step_that_ignores_its_cancellation_is_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workflow = hanging(stubborn=True)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "bad", "good")
        await bench.pass_time(LIMIT + CANCELLING)
        assert [await state(handle) for handle in runs.values()] == [
            RunState.PAUSED,
            RunState.COMPLETED,
        ]
        assert (
            f"the step of run {runs['bad'].run_id} does not end although it was cancelled; it is"
            " left alone" in caplog.text
        )
        role = Role(consumer_group(workflow.name, Stage.NEW.value)).name
        assert bench.in_flight.abandoned(role) == 1
        await consumer.kill()


async def test_what_a_step_returns_after_its_limit_is_dropped() -> None:
    workflow = Workflow("routed", Parcel, Route)

    @workflow.step(Route.NEW, timeout=LIMIT, retry=ONCE, on_failure=Route.LOST)
    async def pack(run: RoutedRun) -> Literal[Route.PACKED]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Route.PACKED
        return Route.PACKED

    @workflow.step(Route.PACKED)
    async def send(run: RoutedRun) -> Literal[Route.SENT]:
        return Route.SENT

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Route.NEW)
        runs = await triggered(bench, workflow, "late")
        await bench.pass_time(LIMIT)
        run = await runs["late"].get()
        assert (run.status, run.reason) == (Route.LOST, "it took longer than 10 s (timeout=10)")


async def test_a_plain_step_is_abandoned_at_its_limit_and_others_run_however_many_threads_hang(
    gate: threading.Event,
) -> None:
    begun = list[str]()
    workflow = hanging_in_a_thread(gate, begun)
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        bad = [f"bad {number}" for number in range(5)]
        runs = await triggered(bench, workflow, *bad, "good")
        for number in range(len(runs)):
            while len(begun) <= number:
                await asyncio.sleep(0.001)
                await bench.pass_time()
            if begun[number] == "good":
                await runs["good"].wait()
            else:
                await bench.pass_time(LIMIT)
        assert [await state(runs[name]) for name in bad] == [RunState.PAUSED] * 5
        assert len(bad) < MAX_ABANDONED


@pytest.mark.parametrize("middleware", [[], [passing]])
async def test_a_warning_names_the_runs_of_abandoned_calls_until_their_functions_end(
    gate: threading.Event, caplog: pytest.LogCaptureFixture, middleware: list[Middleware]
) -> None:
    begun = list[str]()
    workflow = hanging_in_a_thread(gate, begun, middleware)
    role = Role(consumer_group(workflow.name, Stage.NEW.value)).name
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "bad 1", "bad 2")
        for number in (1, 2):
            while len(begun) < number:
                await asyncio.sleep(0.001)
                await bench.pass_time()
            await bench.pass_time(LIMIT)
            assert bench.in_flight.abandoned(role) == number
        first, second = [runs[name].run_id for name in begun]
        assert (
            "pack: a call that was abandoned still runs in its thread; 2 of at most 65 threads are"
            f" taken up by such calls (of run {first}, {second})" in caplog.text
        )
        gate.set()
        while bench.in_flight.abandoned(role):
            await asyncio.sleep(0.001)
    assert bench.in_flight.abandoned(role) == 0


async def test_an_attempt_that_ends_in_time_is_not_touched_later() -> None:
    workflow = parcels()
    times = list[int]()

    @workflow.step(Stage.NEW, timeout=LIMIT)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        times.append(run.attempt)
        return Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1", "2")
        await bench.pass_time(2 * LIMIT)
        assert [await state(handle) for handle in runs.values()] == [RunState.COMPLETED] * 2
        assert times == [0, 0]
