"""Steps that break their word: they fail their own run, and nothing else."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray import Pause, RunState
from workflow_ray.records import MAX_DATA
from workflow_ray.testing import WorkflowTester


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


class Interrupted(BaseException):
    """As test frameworks and anyio have them: no Exception."""


ERRORS: list[tuple[type[BaseException], str]] = [
    (asyncio.CancelledError, "CancelledError"),
    (SystemExit, "SystemExit"),
    (Interrupted, "Interrupted"),
    (TimeoutError, "TimeoutError"),
    (StopIteration, "RuntimeError: "),  # Python's own word for one that leaves a coroutine; threads follow it
    (Unspeakable, "Unspeakable: its text can't be had, for RuntimeError"),
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
async def test_a_result_that_the_annotation_does_not_list_pauses_the_run_and_says_so(value: object, shown: str) -> None:
    workflow = returning(value)
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.settle()
        run = await handle.get()
    assert run.run_state is RunState.PAUSED
    assert run.reason is not None
    assert f"pack returned {shown}, which its annotation doesn't list (" in run.reason
    assert "secret" not in run.reason


async def test_data_of_a_wrong_type_blames_the_step_that_assigned_it() -> None:
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


async def test_a_reason_that_is_no_text_does_not_stop_the_role() -> None:
    workflow, wrong = parcels(), list[Any]([ValueError("odd")])

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Pause:
        return Pause(wrong[0])

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.settle()
        assert (await handle.get()).reason == "odd"
