"""Faulty steps fail their own run, and nothing else."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray import Pause, RunState
from workflow_ray.errors import RunPaused
from workflow_ray.records import MAX_DATA
from workflow_ray.testing import WorkflowTester


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


class Leaving(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class Interrupted(BaseException):
    """An error that is not an Exception, as test frameworks and anyio have them."""


ERRORS: list[tuple[type[BaseException], str]] = [
    (asyncio.CancelledError, "CancelledError"),
    (SystemExit, "SystemExit"),
    (GeneratorExit, "GeneratorExit"),
    (Interrupted, "Interrupted"),
    (TimeoutError, "TimeoutError"),
    (StopIteration, ""),  # one that leaves a coroutine is a RuntimeError
    (Unspeakable, "Unspeakable: its text can't be made, because of RuntimeError"),
    (Leaving, "Leaving: its text can't be made, because of SystemExit"),
]


def raising(error: type[BaseException]) -> Parcels:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        if run.foreign_id == "bad":
            raise error
        return Stage.DONE

    return workflow


def raising_in_a_thread(error: type[BaseException]) -> Parcels:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        if run.foreign_id == "bad":
            raise error
        return Stage.DONE

    return workflow


@pytest.mark.parametrize("kind", [raising, raising_in_a_thread])
@pytest.mark.parametrize(("error", "reason"), ERRORS)
async def test_whatever_a_step_raises_fails_its_run_alone(
    kind: Callable[[type[BaseException]], Parcels], error: type[BaseException], reason: str
) -> None:
    workflow = kind(error)
    async with WorkflowTester(workflow) as tester:
        bad = await tester.client(workflow).trigger("bad", Parcel())
        await tester.advance(timedelta(minutes=1))
        run = await bad.get()
        assert (run.run_state, run.attempt) == (RunState.PAUSED, 3)
        assert run.reason is not None
        assert run.reason.startswith(reason)
        good = await tester.client(workflow).trigger("good", Parcel())
        assert (await good.wait()).run_state is RunState.COMPLETED


async def test_an_interrupt_raised_in_a_thread_is_a_failure_like_any_other() -> None:
    workflow = raising_in_a_thread(KeyboardInterrupt)
    async with WorkflowTester(workflow) as tester:
        bad = await tester.client(workflow).trigger("bad", Parcel())
        await tester.advance(timedelta(minutes=1))
        assert (await bad.get()).reason == "KeyboardInterrupt"


# --- steps that cancel --------------------------------------------------------------------------


async def cancel_and_await() -> None:
    own = asyncio.current_task()
    assert own
    own.cancel()
    await asyncio.sleep(0)


async def cancel_and_return() -> None:
    own = asyncio.current_task()
    assert own
    own.cancel()


async def swallow_a_cancellation_and_return() -> None:
    with suppress(asyncio.CancelledError):
        await cancel_and_await()


async def leave_a_task_group_behind() -> None:
    group = await asyncio.TaskGroup().__aenter__()
    group.create_task(cancel_and_await())
    failing = group.create_task(asyncio.sleep(0, "nothing"))
    await failing
    raise ValueError("left behind")


async def cancel_from_a_task_of_its_own() -> None:
    own = asyncio.current_task()
    assert own

    async def cancel() -> None:
        own.cancel()

    await asyncio.gather(cancel(), asyncio.sleep(10))


@pytest.mark.parametrize(
    ("act", "ends_well"),
    [
        (cancel_and_await, False),
        (cancel_and_return, False),
        (swallow_a_cancellation_and_return, True),
        (leave_a_task_group_behind, False),
        (cancel_from_a_task_of_its_own, False),
    ],
)
async def test_a_step_that_cancels_its_own_task_ends_its_attempt_and_no_role(
    act: Callable[[], Coroutine[Any, Any, None]], ends_well: bool, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        if run.foreign_id == "bad":
            await act()
        return Stage.DONE

    async with WorkflowTester(workflow) as tester:
        bad = await tester.client(workflow).trigger("bad", Parcel())
        await tester.advance(timedelta(minutes=1))
        run = await bad.get()
        assert run.run_state is (RunState.COMPLETED if ends_well else RunState.PAUSED)
        assert ends_well or run.attempt == 3
        good = await tester.client(workflow).trigger("good", Parcel())
        assert (await good.wait()).run_state is RunState.COMPLETED
    assert ends_well or "(attempt 3 of 3)" in caplog.text


def returning(value: Any) -> Parcels:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        result: Literal[Stage.DONE] = value
        return result

    return workflow


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Stage.NEW, "Stage.NEW"),
        (Pause("p"), "a value of type Pause"),
        (None, "a value of type NoneType"),
        (2, "a value of type int"),
        (Parcel(label="secret"), "a value of type Parcel"),
    ],
    ids=str,
)
async def test_a_result_that_the_annotation_does_not_list_pauses_the_run_and_says_so(
    value: object, shown: str
) -> None:
    workflow = returning(value)
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.settle()
        run = await handle.get()
    assert run.run_state is RunState.PAUSED
    assert run.reason is not None
    assert f"pack returned {shown}, which its annotation doesn't list (" in run.reason
    assert "secret" not in run.reason


async def test_data_of_a_wrong_type_fails_the_step_that_assigned_it() -> None:
    workflow, wrong = parcels(), list[Any](["heavy"])

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        run.data.weight = wrong[0]
        return Stage.DONE

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.advance(timedelta(minutes=1))
        run = await handle.get()
    assert run.run_state is RunState.PAUSED
    assert run.reason is not None
    assert "weight" in run.reason
    assert "heavy" not in run.reason
    assert run.data == Parcel()


async def test_data_beyond_the_limit_fails_the_run_at_once() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        run.data.label = "x" * MAX_DATA
        return Stage.DONE

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.settle()
        run = await handle.get()
    assert (run.run_state, run.attempt, run.data) == (RunState.PAUSED, 1, Parcel())
    assert run.reason is not None
    assert f"{MAX_DATA} are allowed" in run.reason


async def test_a_reason_that_is_not_text_fails_the_attempt_and_does_not_stop_the_role() -> None:
    workflow, wrong = parcels(), list[Any]([ValueError("odd")])

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Pause:
        return Pause(wrong[0])

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.settle()
        run = await handle.get()
    assert run.attempt == 1
    assert run.reason == "InvalidInput: the reason of Pause: it must be text, not ValueError"


def returning_other_data() -> Parcels:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        other: Any = 3
        run.data = other
        return Stage.DONE

    return workflow


async def test_an_error_that_ends_with_a_full_stop_gets_no_second_one() -> None:
    workflow = returning_other_data()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("bad", Parcel())
        with pytest.raises(RunPaused, match=r"must be Parcel itself\. Mend"):
            await handle.wait()
