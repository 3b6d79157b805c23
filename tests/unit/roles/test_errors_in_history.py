"""The error of each failed attempt is in the history of its run, with its trace."""

import asyncio
from datetime import timedelta
from typing import Any, Literal

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from tests.unit.roles.batching import Batching, Results
from workflow_ray import Cause, Entry, ErrorDetail, Fatal, Handle, Retry, Run, Status, Workflow


class Declined(Exception):
    """An error of a user."""


class At(Status):
    NEW = 1
    WAITING = 2
    DONE = 3
    LOST = 4


ONCE = Retry(attempts=1)
TWICE = Retry(attempts=2, backoff=1)


def charge() -> None:
    raise Declined("no card")


def failing(*, traces: bool = True, plain: bool = False) -> Parcels:
    workflow = Workflow("parcels", Parcel, Stage, traces=traces)
    if plain:

        @workflow.step(Stage.NEW, retry=TWICE)
        def pack_in_thread(run: ParcelRun) -> Literal[Stage.DONE]:
            charge()
            return Stage.DONE

        return workflow

    @workflow.step(Stage.NEW, retry=TWICE)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        charge()
        return Stage.DONE

    return workflow


async def history(bench: Bench, workflow: Workflow[Parcel, Any]) -> list[Entry[Parcel, Any]]:
    """The history of a run that comes to rest."""
    await bench.publisher()
    await bench.all_consumers()
    (handle,) = (await triggered(bench, workflow, "1")).values()
    while not (await handle.get()).run_state.at_rest:
        await bench.pass_time(1)
        await asyncio.to_thread(int)  # a plain step may be in a thread
    return await handle.history()


@pytest.mark.parametrize("plain", [False, True])
async def test_each_failed_attempt_has_its_error_and_the_trace_of_user_code(plain: bool) -> None:
    workflow = failing(plain=plain)
    async with Bench(workflow) as bench:
        trigger, *attempts = await history(bench, workflow)
    assert trigger.error is None
    assert [each.cause for each in attempts] == [Cause.RETRY, Cause.FAILED]
    for each in attempts:
        assert each.reason == "Declined: no card"
        error = each.error
        assert error is not None
        assert (error.type, error.message) == (f"{__name__}.Declined", "no card")
        assert error.trace is not None
        lines = error.trace.splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert lines[-1] == "Declined: no card"
        assert "in charge" in lines[3]
        assert "workflow_ray/roles" not in error.trace


async def test_without_traces_none_is_kept() -> None:
    workflow = failing(traces=False)
    async with Bench(workflow) as bench:
        *_, last = await history(bench, workflow)
    assert last.error == ErrorDetail(type=f"{__name__}.Declined", message="no card")


async def test_a_run_that_enters_on_failure_has_the_error_and_later_versions_have_none() -> None:
    workflow = Workflow("parcels", Parcel, At)

    @workflow.step(At.NEW, retry=ONCE, on_failure=At.WAITING)
    async def pack(run: Run[Parcel, At]) -> Literal[At.LOST]:
        raise Fatal("bad address")

    @workflow.step(At.WAITING)
    async def send(run: Run[Parcel, At]) -> Literal[At.DONE]:
        return At.DONE

    async with Bench(workflow) as bench:
        _, failed, last = await history(bench, workflow)
    assert (failed.cause, failed.status) == (Cause.FAILED, At.WAITING)
    assert failed.error is not None
    assert (failed.error.type, failed.error.message) == (
        "workflow_ray.definition.halt.Fatal",
        "bad address",
    )
    assert (last.cause, last.error) == (Cause.STEP, None)


async def test_attempts_that_exceed_their_time_limit_have_an_error_without_a_trace() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW, retry=ONCE, timeout=1.0)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await bench.clock.wait(asyncio.Event(), 100.0)
        return Stage.DONE

    async with Bench(workflow) as bench:
        *_, last = await history(bench, workflow)
    text = "it took longer than 1 s (timeout=1)"
    assert (last.reason, last.error) == (text, ErrorDetail(type="TimeoutError", message=text))


async def test_a_result_that_is_not_allowed_is_an_error_too() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.NEW  # type: ignore[return-value]  # a type checker reports it

    async with Bench(workflow) as bench:
        *_, last = await history(bench, workflow)
    assert last.error is not None
    assert (last.error.type, last.error.trace) == ("workflow_ray.AttemptFailed", None)
    assert last.error.message == last.reason


async def test_each_run_of_a_batch_has_the_error_that_it_failed_with() -> None:
    async def work(runs: list[ParcelRun]) -> Results:
        if len(runs) > 1:
            return [Declined(run.foreign_id) for run in runs]
        charge()
        return []

    case = Batching(work, retry=ONCE)
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, case.workflow, "1", "2")
        await bench.pass_time(1)
        alone = await triggered(bench, case.workflow, "3")
        await bench.pass_time(1)
        found = [await last_error(handle) for handle in (*runs.values(), *alone.values())]
    assert [(error.type, error.message) for error in found] == [
        (f"{__name__}.Declined", text) for text in ("1", "2", "no card")
    ]
    assert "in charge" in (found[-1].trace or "")


async def test_a_timeout_that_fails_pauses_its_run_with_the_error() -> None:
    workflow = Workflow("parcels", Parcel, At, entry=(At.WAITING, At.LOST))

    @workflow.timeout(At.NEW, after=timedelta(seconds=1), retry=ONCE)
    async def late(run: Run[Parcel, At]) -> Literal[At.DONE]:
        raise Declined("late")

    async with Bench(workflow) as bench:
        await bench.timeout_consumer(At.NEW)
        _, failed = await history(bench, workflow)
    assert failed.cause is Cause.FAILED
    assert failed.error is not None
    assert (failed.error.type, failed.error.message) == (f"{__name__}.Declined", "late")


async def test_attempts_that_killed_their_process_say_so() -> None:
    workflow = parcels()
    hanging = asyncio.Event()

    @workflow.step(Stage.NEW, retry=ONCE)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await hanging.wait()
        return Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, "1")
        for _ in range(4):
            consumer = await bench.consumer(Stage.NEW)
            for _ in range(10):
                await bench.pass_time(1)
            await consumer.kill()
        _, counted, failed = await runs["1"].history()
    assert (counted.cause, failed.cause) == (Cause.DOUBT, Cause.FAILED)
    for entry in (counted, failed):
        assert entry.error == ErrorDetail(
            type="workflow_ray.ProcessDied", message=str(entry.reason)
        )


async def last_error(handle: Handle[Parcel, Stage]) -> ErrorDetail:
    error = (await handle.history())[-1].error
    assert error is not None
    return error
