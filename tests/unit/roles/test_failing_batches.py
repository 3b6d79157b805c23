"""Batches that fail: they are tried in halves, and only a batch of one counts an attempt."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator
from math import ceil, log2
from typing import Literal

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Parcel, ParcelRun, Stage, parcels
from tests.unit.roles.batching import (
    FAILED,
    ONCE,
    SUCCEEDED,
    TOO_LONG,
    Batching,
    Results,
    begun,
    causes,
    done,
    ended,
    names,
)
from workflow_ray import Fatal, Retry, Run, RunState, Status, resource
from workflow_ray import Workflow as AnyWorkflow
from workflow_ray.records import Cause

# --- batches that fail --------------------------------------------------------------------------


async def test_a_batch_that_raises_is_tried_in_halves_and_only_a_batch_of_one_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def choke(runs: list[ParcelRun]) -> Results:
        for run in runs:
            run.data.weight += 1
        if any(run.foreign_id == "2" for run in runs):
            raise ValueError("torn")
        return done(runs)

    case = Batching(choke, max_batch=4, retry=Retry(attempts=2, backoff=1.0))
    async with Bench(case.workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, case.workflow, "0", "1", "2", "3")
        await bench.pass_time()
        assert case.calls == [["0", "1", "2", "3"], ["0", "1"], ["2", "3"], ["2"], ["3"]]
        assert (await runs["2"].get()).attempt == 1
        await bench.pass_time(5)
        assert await causes(bench, runs) == {
            **dict.fromkeys(["0", "1", "3"], SUCCEEDED),
            "2": [Cause.TRIGGER, Cause.RETRY, Cause.FAILED],
        }
        weights = {name: (await handle.get()).data.weight for name, handle in runs.items()}
    assert weights == {"0": 1, "1": 1, "2": 0, "3": 1}, "each call has fresh copies of the data"
    assert "a batch of 4 runs of step" in caplog.text
    assert "failed: ValueError: torn. Trying it in halves." in caplog.text


async def test_fatal_raised_by_a_batch_fails_for_good_the_run_that_raises_it_alone() -> None:
    async def choke(runs: list[ParcelRun]) -> Results:
        if any(run.foreign_id == "bad" for run in runs):
            raise Fatal("burnt")
        return done(runs)

    case = Batching(choke)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, case.workflow, "1", "bad", "2")
        await bench.pass_time(1)
        assert await causes(bench, runs) == {"1": SUCCEEDED, "bad": FAILED, "2": SUCCEEDED}


async def test_on_failure_is_where_a_run_goes_whose_attempts_are_used_up() -> None:
    class At(Status):
        NEW = 1
        DONE = 2
        LOST = 3

    workflow = AnyWorkflow("parcels", Parcel, At)

    @workflow.batch_step(At.NEW, retry=ONCE, on_failure=At.LOST)
    async def pack(runs: list[Run[Parcel, At]]) -> list[Literal[At.DONE] | Exception]:
        return [ValueError("torn") if run.foreign_id == "bad" else At.DONE for run in runs]

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(At.NEW)
        client = bench.client(workflow)
        bad, good = [await client.trigger(name, Parcel()) for name in ("bad", "good")]
        await bench.pass_time(1)
        assert ((await bad.get()).status, (await good.get()).status) == (At.LOST, At.DONE)


async def test_a_batch_that_takes_too_long_is_tried_in_halves_which_have_the_limit_each() -> None:
    async def hang(runs: list[ParcelRun]) -> Results:
        if any(run.foreign_id == "bad" for run in runs):
            await asyncio.Event().wait()
        return done(runs)

    case = Batching(hang, max_wait=0, retry=ONCE, timeout=10)
    async with Bench(case.workflow) as bench:
        await triggered(bench, case.workflow, "0")
        await begun(bench)
        runs = await triggered(bench, case.workflow, "1", "bad")
        await bench.pass_time(19.5)
        assert (await runs["bad"].get()).run_state is RunState.INITIATED
        await bench.pass_time(0.5)
        assert await causes(bench, runs) == {"1": SUCCEEDED, "bad": FAILED}
        assert (await runs["bad"].get()).reason == TOO_LONG


async def test_a_plain_batch_that_takes_too_long_goes_on_in_its_thread_without_effect() -> None:
    gate = threading.Event()
    workflow = parcels(1)

    @workflow.batch_step(Stage.NEW, retry=ONCE, timeout=10)
    def pack(runs: list[ParcelRun]) -> list[Literal[Stage.DONE]]:
        if any(run.foreign_id == "bad" for run in runs):
            gate.wait()
        return [Stage.DONE for _ in runs]

    async with Bench(workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, workflow, "bad")
        await bench.pass_time(1)
        await bench.pass_time(10)
        assert (await runs["bad"].get()).reason == TOO_LONG
        gate.set()


async def test_a_plain_function_gets_its_runs_and_resources_in_a_thread() -> None:
    workflow, threads = parcels(1), list[threading.Thread]()

    @resource
    async def label() -> AsyncIterator[str]:
        yield "labelled"

    @workflow.batch_step(Stage.NEW, max_wait=0)
    def pack(runs: list[ParcelRun], text: str = label.value) -> list[Literal[Stage.DONE]]:
        threads.append(threading.current_thread())
        for run in runs:
            run.data.label = text
        return [Stage.DONE for _ in runs]

    async with Bench(workflow) as bench:
        await begun(bench)
        handle = (await triggered(bench, workflow, "1"))["1"]
        waiting = asyncio.create_task(handle.wait())
        while not waiting.done():
            await bench.pass_time(0.1)
            await asyncio.sleep(0.001)
        assert (await waiting).data.label == "labelled"
    assert threads != [threading.main_thread()]


# --- the property of halving --------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 50, 64])
async def test_each_poison_run_fails_alone_and_few_calls_find_it(size: int, seed: int) -> None:
    rng = random.Random(f"{seed}-{size}")
    poison = set(rng.sample(names(size), rng.randint(0, min(size, 4))))
    effects = Counter[str]()

    async def choke(runs: list[ParcelRun]) -> Results:
        if poison.intersection(run.foreign_id for run in runs):
            raise ValueError("torn")
        effects.update(run.foreign_id for run in runs)
        return done(runs)

    case = Batching(choke, max_batch=size, retry=ONCE)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, case.workflow, *names(size))
        await ended(bench, runs)
        found = await causes(bench, runs)
    assert found == {name: FAILED if name in poison else SUCCEEDED for name in runs}
    assert effects == dict.fromkeys(runs.keys() - poison, 1)
    assert len(case.calls) <= 1 + 2 * len(poison) * ceil(log2(size)), case.sizes


# --- effects ------------------------------------------------------------------------------------


async def test_a_call_of_halves_finds_the_results_that_the_whole_batch_has_stored() -> None:
    charged = list[str]()

    async def charge(name: str) -> str:
        charged.append(name)
        return f"charge-{name}"

    async def pay(runs: list[ParcelRun]) -> Results:
        for run in runs:
            run.data.label = await run.once("charge", charge, run.foreign_id)
        if len(runs) > 1:
            raise ValueError("too many")
        return done(runs)

    case = Batching(pay, max_batch=4)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, case.workflow, *names(4))
        await ended(bench, runs)
        assert set(map(tuple, (await causes(bench, runs)).values())) == {tuple(SUCCEEDED)}
        labels = [(await handle.get()).data.label for handle in runs.values()]
    assert sorted(charged) == names(4)
    assert labels == [f"charge-{name}" for name in names(4)]


async def test_a_run_that_moves_on_while_its_batch_runs_is_left_out_of_the_next_try() -> None:
    async def pay(runs: list[ParcelRun]) -> Results:
        if len(runs) == 3:
            await bench.cancel_from_outside(handles["gone"].run_id)
        for run in runs:
            await run.once("charge", asyncio.sleep, 0)
        return done(runs)

    case = Batching(pay, max_batch=3)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        handles = await triggered(bench, case.workflow, "1", "gone", "2")
        await ended(bench, handles)
        assert await causes(bench, handles) == {
            "1": SUCCEEDED,
            "gone": [Cause.TRIGGER, Cause.CANCEL],
            "2": SUCCEEDED,
        }
    assert case.calls[-1] == ["1", "2"]
