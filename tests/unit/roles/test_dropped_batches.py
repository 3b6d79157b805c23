"""Calls of batch steps whose results are dropped, or can't be read."""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from pydantic import BaseModel, field_validator

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Stage, parcels
from tests.unit.roles.batching import (
    ONCE,
    SUCCEEDED,
    TOO_LONG,
    Batching,
    Results,
    causes,
    done,
    ended,
)
from workflow_ray import Run, RunState, Workflow
from workflow_ray.errors import InvalidInput
from workflow_ray.records import Role, RunId, consumer_group
from workflow_ray.roles.steps import CANCELLING


async def test_a_plain_batch_that_takes_too_long_is_told_and_its_halves_are_not() -> None:
    workflow, sizes, told = parcels(1), list[int](), threading.Event()

    @workflow.batch_step(Stage.NEW, retry=ONCE, timeout=10)
    def pack(runs: list[ParcelRun]) -> list[Literal[Stage.DONE]]:
        sizes.append(len(runs))
        while len(runs) > 1 and not all(run.cancelled.is_set() for run in runs):
            time.sleep(0.001)
        assert len(runs) > 1 or not runs[0].cancelled.is_set()
        if len(runs) > 1:
            told.set()
        return [Stage.DONE for _ in runs]

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1", "2")
        await bench.pass_time(1)
        while not sizes:
            await asyncio.sleep(0.001)
        await bench.pass_time(10)
        assert await asyncio.to_thread(told.wait, 10)
        while len(sizes) < 3:
            await asyncio.sleep(0.001)
            await bench.pass_time(0.1)
        await ended(bench, runs)
        assert await causes(bench, runs) == {"1": SUCCEEDED, "2": SUCCEEDED}


async def test_a_batch_that_does_not_end_when_it_is_cancelled_counts_as_abandoned() -> None:
    gate, attempts = asyncio.Event(), list[RunId]()

    async def cling(runs: list[ParcelRun]) -> Results:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                attempts.append(runs[0].run_id)
                with pytest.raises(InvalidInput, match="the function has ended"):
                    await runs[0].once("charge", asyncio.sleep, 0)
        return done(runs)

    case = Batching(cling, max_wait=0, retry=ONCE, timeout=10)
    role = Role(consumer_group(case.workflow.name, Stage.NEW.value)).name
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, case.workflow, "1")
        await bench.pass_time(10 + CANCELLING)
        assert (await runs["1"].get()).reason == TOO_LONG
        assert attempts
        assert bench.in_flight.abandoned(role) == 1
        gate.set()
        await bench.pass_time()
        assert bench.in_flight.abandoned(role) == 0


class Lazy(Sequence[Any]):
    """Results that raise when they are read, or say a wrong length."""

    def __init__(self, length: int, error: BaseException | None) -> None:
        self._length = length
        self._error = error

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if self._error is not None:
            raise self._error
        raise IndexError(index)


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        (Lazy(1, ValueError("gone")), "ValueError: gone"),
        (Lazy(1, SystemExit(3)), "SystemExit: 3"),
        (Lazy(1, None), "returned a list of 0 for a batch of 1"),
    ],
)
async def test_results_that_can_not_be_read_fail_their_runs_and_not_the_role(
    results: Any, reason: str
) -> None:
    async def pack(runs: list[ParcelRun]) -> Results:
        return done(runs) if runs[0].foreign_id == "good" else results

    case = Batching(pack, max_wait=0, retry=ONCE)
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, case.workflow, "bad")
        await bench.pass_time(1)
        assert reason in ((await runs["bad"].get()).reason or "")
        runs = await triggered(bench, case.workflow, "good")
        await bench.pass_time(1)
        assert await causes(bench, runs) == {"good": SUCCEEDED}


exiting = threading.Event()


class Label(BaseModel):
    """Data whose validator exits for the text "bad", while it is told to."""

    text: str = ""

    @field_validator("text")
    @classmethod
    def read(cls, text: str) -> str:
        if exiting.is_set() and text == "bad":
            raise SystemExit(3)
        return text


def spoil(run: Run[Label, Stage]) -> None:
    if run.data.text == "worse":
        run.data.text = "bad"


@pytest.mark.parametrize("text", ["bad", "worse"])
@pytest.mark.parametrize("is_batch", [False, True])
async def test_data_that_exits_as_it_is_read_or_written_fails_its_run_and_no_other(
    text: str, is_batch: bool
) -> None:
    workflow = Workflow("labels", Label, Stage, partitions=1)

    if is_batch:

        @workflow.batch_step(Stage.NEW, retry=ONCE)
        async def stick_all(runs: list[Run[Label, Stage]]) -> list[Literal[Stage.DONE]]:
            for run in runs:
                spoil(run)
            return [Stage.DONE for _ in runs]
    else:

        @workflow.step(Stage.NEW, retry=ONCE)
        async def stick(run: Run[Label, Stage]) -> Literal[Stage.DONE]:
            spoil(run)
            return Stage.DONE

    async with Bench(workflow) as bench:
        client = bench.client(workflow)
        good, bad = [await client.trigger(name, Label(text=name)) for name in ("good", text)]
        exiting.set()
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await bench.pass_time(1)
        exiting.clear()
        assert (await good.get()).run_state is RunState.COMPLETED
        run = await bad.get()
        assert (run.run_state, run.reason) == (RunState.PAUSED, "SystemExit: 3")
