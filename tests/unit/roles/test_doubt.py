"""What a role does with the events that a holder before it had in hand when it died."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Parcels, Stage, parcels
from workflow_ray import Retry, RunState
from workflow_ray.records import Cause, Role, consumer_group
from workflow_ray.roles.consumer import SUSPENSE

ROLE = Role(consumer_group("parcels", Stage.NEW.value))
Work: TypeAlias = Callable[[ParcelRun], Coroutine[Any, Any, None]]


def doing(work: list[Work], *, attempts: int = 3) -> Parcels:
    """Its step does what stands last in `work`."""
    workflow = parcels()

    @workflow.step(Stage.NEW, retry=Retry(attempts=attempts, backoff=timedelta(seconds=1)))
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await work[-1](run)
        return Stage.DONE

    return workflow


async def hang(run: ParcelRun) -> None:
    await asyncio.Event().wait()


async def succeed(run: ParcelRun) -> None:
    pass


async def fail(run: ParcelRun) -> None:
    raise ValueError("broken")


async def test_events_in_doubt_are_taken_one_at_a_time_each_attempt_counted_first() -> None:
    running, seen = set[str](), list[tuple[set[str], Cause]]()
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:

        async def look(run: ParcelRun) -> None:
            running.add(run.foreign_id)
            await asyncio.sleep(0)
            seen.append((set(running), (await bench.causes(run.run_id))[-1]))
            running.discard(run.foreign_id)

        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1", "2", "3")
        await bench.pass_time()
        await consumer.kill()
        work.append(look)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert sorted(seen, key=str) == [({foreign_id}, Cause.DOUBT) for foreign_id in "123"]
        for handle in runs.values():
            assert await bench.causes(handle.run_id) == [Cause.TRIGGER, Cause.DOUBT, Cause.STEP]


async def test_past_the_events_in_doubt_attempts_are_not_counted_beforehand() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, "1")
        await bench.pass_time()
        await consumer.kill()
        work.append(succeed)
        consumer = await bench.consumer(Stage.NEW)
        await bench.pass_time()
        runs = await triggered(bench, workflow, "2")
        await bench.pass_time()
        assert await bench.causes(runs["2"].run_id) == [Cause.TRIGGER, Cause.STEP]
        await consumer.leave()
        assert (await bench.store.take(ROLE)).clean


async def test_a_step_that_ends_its_process_each_time_is_paused_unrun_once_its_attempts_are_used_up() -> None:
    calls = list[int]()

    async def end_the_process(run: ParcelRun) -> None:
        calls.append(run.attempt)
        await asyncio.Event().wait()

    workflow = doing([end_the_process], attempts=2)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, "1")
        for _ in range(3):
            consumer = await bench.consumer(Stage.NEW)
            await bench.pass_time(seconds=4)
            await consumer.kill()
        assert calls == [0, 0, 1]
        await bench.consumer(Stage.NEW)
        await bench.pass_time(seconds=60)
        assert calls == [0, 0, 1]
        run = await runs["1"].get()
        assert (run.run_state, run.attempt) == (RunState.PAUSED, 2)
        assert run.reason is not None
        assert "the process died while" in run.reason
        assert await bench.causes(run.run_id) == [Cause.TRIGGER, Cause.DOUBT, Cause.DOUBT, Cause.FAILED]


async def test_an_attempt_whose_process_died_after_the_count_is_counted_again_though_its_event_comes_past_the_doubt() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, "1")
        for _ in range(2):
            consumer = await bench.consumer(Stage.NEW)
            await bench.pass_time()
            await consumer.kill()
        work.append(succeed)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.DOUBT]
        await bench.pass_time(seconds=1)
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.DOUBT, Cause.DOUBT, Cause.STEP]


async def test_an_attempt_counted_in_doubt_is_counted_once_when_it_fails() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        await consumer.kill()
        work.append(fail)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.DOUBT, Cause.RETRY]
        assert (await runs["1"].get()).attempt == 1


async def test_a_slow_attempt_in_doubt_is_made_once_and_holds_up_the_next_for_a_while_only() -> None:
    gate, calls = asyncio.Event(), list[str]()

    async def wait(run: ParcelRun) -> None:
        calls.append(run.foreign_id)
        await gate.wait()

    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1", "2")
        await bench.pass_time()
        await consumer.kill()
        work.append(wait)
        await bench.consumer(Stage.NEW)
        await bench.pass_time(seconds=SUSPENSE - 1)
        assert len(calls) == 1
        await bench.pass_time(seconds=60)  # the events of the attempts counted come in between
        assert sorted(calls) == ["1", "2"]
        gate.set()
        await bench.pass_time()
        for handle in runs.values():
            assert await bench.causes(handle.run_id) == [Cause.TRIGGER, Cause.DOUBT, Cause.STEP]
        assert sum((await bench.position(Stage.NEW)).values()) == 4


async def test_a_run_that_moved_on_before_its_attempt_was_counted_is_left_alone() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        await consumer.kill()
        await bench.cancel_from_outside(runs["1"].run_id)
        work.append(fail)
        await bench.consumer(Stage.NEW)
        await bench.pass_time(seconds=60)
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.CANCEL]


async def test_who_stops_before_all_doubt_is_cleared_leaves_the_rest_of_it_in_doubt() -> None:
    gate, calls = asyncio.Event(), list[str]()

    async def wait(run: ParcelRun) -> None:
        calls.append(run.foreign_id)
        await gate.wait()

    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1", "2")
        await bench.pass_time()
        await consumer.kill()
        work.append(wait)
        consumer = await bench.consumer(Stage.NEW)
        await bench.pass_time()
        consumer.stop.set()
        gate.set()
        await consumer.task
        assert len(calls) == 1
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        for handle in runs.values():
            assert await bench.causes(handle.run_id) == [Cause.TRIGGER, Cause.DOUBT, Cause.STEP]
