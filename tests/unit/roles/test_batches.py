"""Batch steps: how many runs one call takes, when it begins, and what its results mean."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Stage
from tests.unit.roles.batching import (
    FAILED,
    SUCCEEDED,
    WAIT,
    Batching,
    Results,
    begun,
    causes,
    done,
    names,
)
from workflow_ray import Cancel, Fatal, Pause, Repeat, Retry, RunState
from workflow_ray.records import Cause
from workflow_ray.roles.steps import OLD

# --- when a batch begins ------------------------------------------------------------------------


async def test_a_full_batch_begins_at_once_and_the_rest_when_the_first_has_waited() -> None:
    case = Batching(max_batch=4, max_wait=timedelta(seconds=WAIT))
    async with Bench(case.workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, case.workflow, *names(10))
        await bench.pass_time()
        assert case.sizes == [4, 4]
        await bench.pass_time(WAIT - 0.1)
        assert case.sizes == [4, 4]
        await bench.pass_time(0.1)
        assert case.sizes == [4, 4, 2]
        assert set(map(tuple, (await causes(bench, runs)).values())) == {tuple(SUCCEEDED)}


async def test_a_run_that_comes_while_the_first_waits_joins_its_batch() -> None:
    case = Batching(max_batch=4, max_wait=WAIT)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        await triggered(bench, case.workflow, "early")
        await bench.pass_time(WAIT - 0.1)
        await triggered(bench, case.workflow, "late")
        await bench.pass_time(0.1)
        assert case.calls == [["early", "late"]]


async def test_without_a_wait_a_batch_has_the_runs_that_are_there() -> None:
    case = Batching(max_batch=100, max_wait=0)
    async with Bench(case.workflow) as bench:
        await triggered(bench, case.workflow, *names(30))
        await begun(bench)
        await bench.pass_time()
        assert sum(case.sizes) == 30
        assert len(case.sizes) <= 2


async def test_while_one_batch_runs_the_next_is_collected_and_waits_for_it() -> None:
    gate = asyncio.Event()

    async def wait(runs: list[ParcelRun]) -> Results:
        await gate.wait()
        return done(runs)

    case = Batching(wait, max_batch=4, max_wait=WAIT)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        await triggered(bench, case.workflow, *names(4))
        await bench.pass_time()
        await triggered(bench, case.workflow, "4", "5")
        await bench.pass_time(10 * WAIT)
        await triggered(bench, case.workflow, "6")
        await bench.pass_time(WAIT)
        assert case.sizes == [4]
        gate.set()
        await bench.pass_time()
        assert case.calls[1:] == [["4", "5", "6"]]


async def test_no_more_batches_run_at_a_time_than_the_step_allows() -> None:
    gate = asyncio.Event()
    running = most = 0

    async def wait(runs: list[ParcelRun]) -> Results:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        return done(runs)

    case = Batching(wait, max_batch=2, max_batches=3)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        await triggered(bench, case.workflow, *names(20))
        await bench.pass_time(1)
        assert (running, most) == (3, 3)
        gate.set()
        await bench.pass_time(1)
        assert (sum(case.sizes), most) == (20, 3)


async def test_an_orderly_stop_waits_for_no_further_runs() -> None:
    case = Batching(max_batch=4, max_wait=60)
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, case.workflow, "1")
        await bench.pass_time()
        assert case.calls == []
        await consumer.leave()
        assert await causes(bench, runs) == {"1": SUCCEEDED}


async def test_a_run_that_was_cancelled_while_it_waited_is_not_in_the_batch() -> None:
    case = Batching(max_batch=4, max_wait=2 * OLD)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, case.workflow, "cancelled", "other")
        await bench.pass_time()
        await bench.cancel_from_outside(runs["cancelled"].run_id)
        await bench.pass_time(2 * OLD)
        assert case.calls == [["other"]]
        assert (await bench.causes(runs["cancelled"].run_id))[-1] is Cause.CANCEL
        assert await bench.causes(runs["other"].run_id) == SUCCEEDED


# --- what a batch returns -----------------------------------------------------------------------


async def test_each_run_gets_its_own_result_and_data() -> None:
    halts: dict[str, Cancel | Pause] = {"cancel": Cancel("no"), "pause": Pause("look")}

    async def sort(runs: list[ParcelRun]) -> Results:
        for run in runs:
            run.data.label = f"for {run.foreign_id}"
        return [halts.get(run.foreign_id, Stage.DONE) for run in runs]

    case = Batching(sort)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, case.workflow, "1", "cancel", "pause", "2")
        await bench.pass_time(1)
        found = [await handle.get() for handle in runs.values()]
    assert [run.run_state for run in found] == [
        RunState.COMPLETED,
        RunState.CANCELLED,
        RunState.PAUSED,
        RunState.COMPLETED,
    ]
    assert [run.data.label for run in found] == [f"for {name}" for name in runs]
    assert case.sizes == [4]


async def test_a_repeat_is_one_of_its_run_alone() -> None:
    repeated = set[str]()

    async def once_more(runs: list[ParcelRun]) -> Results:
        first = [run.foreign_id == "1" and "1" not in repeated for run in runs]
        repeated.update(run.foreign_id for run in runs)
        return [Repeat(after=1) if again else Stage.DONE for again in first]

    case = Batching(once_more)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, case.workflow, "1", "2")
        await bench.pass_time(5)
        assert await causes(bench, runs) == {
            "1": [Cause.TRIGGER, Cause.REPEAT, Cause.STEP],
            "2": SUCCEEDED,
        }
    assert case.calls == [["1", "2"], ["1"]]


async def test_an_exception_in_the_list_fails_the_attempt_of_its_run_alone() -> None:
    async def some_fail(runs: list[ParcelRun]) -> Results:
        for run in runs:
            run.data.label = "packed"
        return [
            {"bad": ValueError("torn"), "worse": Fatal("burnt")}.get(run.foreign_id, Stage.DONE)
            for run in runs
        ]

    case = Batching(some_fail, retry=Retry(attempts=2, backoff=0.0))
    async with Bench(case.workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, case.workflow, "1", "bad", "worse", "2")
        await bench.pass_time(1)
        assert await causes(bench, runs) == {
            "1": SUCCEEDED,
            "bad": [Cause.TRIGGER, Cause.RETRY, Cause.FAILED],
            "worse": FAILED,
            "2": SUCCEEDED,
        }
        bad, worse = await runs["bad"].get(), await runs["worse"].get()
    assert (bad.reason, worse.reason) == ("ValueError: torn", "Fatal: burnt")
    assert bad.data.label == "", "the changes of a failed attempt are dropped"
    assert case.calls == [["1", "bad", "worse", "2"], ["bad"]]


async def test_a_wrong_result_is_an_error_of_its_run_alone() -> None:
    async def mixed(runs: list[ParcelRun]) -> Results:
        made: dict[str, Any] = {"new": Stage.NEW, "none": None}
        return [made.get(run.foreign_id, Stage.DONE) for run in runs]

    case = Batching(mixed)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, case.workflow, "1", "new", "none")
        await bench.pass_time(1)
        assert await causes(bench, runs) == {"1": SUCCEEDED, "new": FAILED, "none": FAILED}
        new, none = await runs["new"].get(), await runs["none"].get()
    assert "pack returned Stage.NEW, which its annotation doesn't list" in (new.reason or "")
    assert "pack returned a value of type NoneType, which its" in (none.reason or "")


async def test_a_list_of_another_length_is_an_error_of_the_runs_that_make_it_so() -> None:
    async def leave_out(runs: list[ParcelRun]) -> Results:
        return [Stage.DONE for run in runs if run.foreign_id != "left out"]

    case = Batching(leave_out)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, case.workflow, "1", "left out", "2", "3")
        await bench.pass_time(1)
        found = await causes(bench, runs)
        reason = (await runs["left out"].get()).reason or ""
    assert found == {"1": SUCCEEDED, "left out": FAILED, "2": SUCCEEDED, "3": SUCCEEDED}
    assert "pack returned a list of 0 for a batch of 1; return one result for each run" in reason


@pytest.mark.parametrize("value", [Stage.DONE, None, "ab"])
async def test_what_is_not_a_list_is_an_error_of_each_run(value: Any) -> None:
    async def no_list(runs: list[ParcelRun]) -> Results:
        return value  # type: ignore[no-any-return]  # what type checkers refuse

    case = Batching(no_list)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, case.workflow, "1", "2")
        await bench.pass_time(1)
        assert await causes(bench, runs) == {"1": FAILED, "2": FAILED}
        assert "not a list of results" in ((await runs["1"].get()).reason or "")
