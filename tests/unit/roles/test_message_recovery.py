"""Recovery of messages whose functions may have been running when a process died."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeAlias

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.roles.messaging import (
    RETRY,
    Deal,
    DealRun,
    Deals,
    Payment,
    deals,
    pay,
    read,
    record_of,
)
from workflow_ray.records import Cause, MessageOutcome
from workflow_ray.roles import in_doubt
from workflow_ray.roles.observation import OBSERVED

Work: TypeAlias = Callable[[DealRun], Coroutine[Any, Any, None]]


def paying(work: list[Work]) -> Deals:
    """Its callback calls the last function of `work`."""
    workflow = deals()

    @workflow.callback(Deal.OPEN, retry=RETRY)
    async def paid(run: DealRun, message: Payment) -> Literal[Deal.PAID]:
        await work[-1](run)
        return Deal.PAID

    return workflow


async def hang(run: DealRun) -> None:
    await asyncio.Event().wait()


async def succeed(run: DealRun) -> None:
    pass


async def hang_in_the_first(run: DealRun) -> None:
    if run.foreign_id == "0":
        await asyncio.Event().wait()


@pytest.fixture
def _no_time_to_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every holder die."""
    monkeypatch.setattr(in_doubt, "LOOKS", 0)


async def test_a_process_that_dies_with_healthy_messages_in_hand_costs_no_attempt() -> None:
    work: list[Work] = [hang]
    workflow = paying(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, *map(str, range(30)))
        keys = [await pay(bench, handle.run_id) for handle in runs.values()]
        await bench.pass_time()
        await consumer.kill()
        work.append(succeed)
        await bench.consumer(Deal.OPEN)
        await bench.pass_time(10 * OBSERVED)
        for key in keys:
            message = await read(bench, key)
            assert (message.outcome, message.attempt) == (MessageOutcome.TAKEN, 0)


@pytest.mark.usefixtures("_no_time_to_release")
async def test_a_message_that_kills_its_process_uses_up_its_attempts_and_no_others() -> None:
    workflow = paying([hang_in_the_first])
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, *map(str, range(10)))
        keys = [await pay(bench, handle.run_id) for handle in runs.values()]
        deaths = 0
        while (await read(bench, keys[0])).outcome is None:
            consumer = await bench.consumer(Deal.OPEN)
            await bench.pass_time(4 * OBSERVED)
            await consumer.kill()
            deaths += 1
            assert deaths < 10
        killer = await read(bench, keys[0])
        assert (killer.outcome, killer.attempt) == (MessageOutcome.FAILED, 3)
        assert killer.reason is not None
        assert "the process died while paid ran" in killer.reason
        assert (await record_of(bench, runs["0"].run_id)).version == 1
        for key in keys[1:]:
            message = await read(bench, key)
            assert (message.outcome, message.attempt) == (MessageOutcome.TAKEN, 0)


@pytest.mark.usefixtures("_no_time_to_release")
async def test_a_message_that_was_counted_before_it_ran_is_counted_once() -> None:
    work: list[Work] = [hang]
    workflow = paying(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, "1")
        key = await pay(bench, runs["1"].run_id)
        for _ in range(2):
            consumer = await bench.consumer(Deal.OPEN)
            await bench.pass_time()
            await consumer.kill()

        async def fail(run: DealRun) -> None:
            raise ValueError("broken")

        work.append(fail)
        await bench.consumer(Deal.OPEN)
        await bench.pass_time()
        message = await read(bench, key)
        assert (message.attempt, message.reason) == (1, "ValueError: broken")


@pytest.mark.usefixtures("_no_time_to_release")
async def test_an_orderly_stop_gives_a_counted_message_back() -> None:
    work: list[Work] = [hang]
    workflow = paying(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, "1")
        key = await pay(bench, runs["1"].run_id)
        for _ in range(2):
            consumer = await bench.consumer(Deal.OPEN)
            await bench.pass_time()
            await consumer.kill()
        third = await bench.consumer(Deal.OPEN)
        await bench.pass_time()
        assert (await read(bench, key)).attempt == 1
        await third.abandon()
        assert (await read(bench, key)).attempt == 0
        work.append(succeed)
        await bench.consumer(Deal.OPEN)
        await bench.pass_time()
        message = await read(bench, key)
        assert (message.outcome, message.attempt) == (MessageOutcome.TAKEN, 0)


async def test_an_orderly_stop_leaves_a_message_to_the_next_holder() -> None:
    work: list[Work] = [hang]
    workflow = paying(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, "1")
        key = await pay(bench, runs["1"].run_id)
        first = await bench.consumer(Deal.OPEN)
        await bench.pass_time()
        await first.abandon()
        work.append(succeed)
        await bench.consumer(Deal.OPEN)
        await bench.pass_time()
        message = await read(bench, key)
        assert (message.outcome, message.attempt) == (MessageOutcome.TAKEN, 0)
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.CALLBACK]


async def test_the_result_of_a_holder_that_was_fenced_off_is_not_committed() -> None:
    gate = asyncio.Event()
    calls = list[str]()

    async def wait(run: DealRun) -> None:
        calls.append("old")
        await gate.wait()

    work: list[Work] = [wait]
    workflow = paying(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, "1")
        key = await pay(bench, runs["1"].run_id)
        old = await bench.consumer(Deal.OPEN)
        await bench.pass_time()
        work.append(succeed)
        await bench.consumer(Deal.OPEN)
        await bench.pass_time(10 * OBSERVED)
        assert (await read(bench, key)).outcome is MessageOutcome.TAKEN
        gate.set()
        await bench.pass_time()
        assert old.task.done()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.CALLBACK]
