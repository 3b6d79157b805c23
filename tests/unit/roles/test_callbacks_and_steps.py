"""A status that has a step and a callback: neither hides or undoes what the other does."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from tests.unit.bench import Bench, triggered
from tests.unit.roles.messaging import RETRY, Deal, DealRun, Payment, deals, pay, read, record_of
from workflow_ray import Retry, Stay
from workflow_ray.errors import NewerData
from workflow_ray.records import (
    Awaits,
    Cause,
    GroupResult,
    MessageId,
    MessageKey,
    MessageKind,
    MessageOutcome,
    RunId,
    WriteGroup,
)

NO_KEY = MessageKey("deals", MessageKind.CALLBACK, MessageId(""))


class Stepping:
    """OPEN has a step that fails, stays or passes, as `step` says, and a callback."""

    def __init__(self, attempts: int = 5) -> None:
        self.step = "fails"
        self.gate = asyncio.Event()
        self.calls = list[str]()
        self.workflow = deals()

        @self.workflow.step(
            Deal.OPEN, retry=Retry(attempts=attempts, backoff=timedelta(seconds=60))
        )
        async def work(run: DealRun) -> Literal[Deal.LOST] | Stay:
            self.calls.append("step")
            if self.step == "waits":
                await self.gate.wait()
            elif self.step == "fails":
                raise ValueError("broken")
            return Stay() if self.step == "stays" else Deal.LOST

        @self.workflow.callback(Deal.OPEN, retry=RETRY)
        async def paid(run: DealRun, message: Payment) -> Literal[Deal.PAID] | Stay:
            self.calls.append(f"paid {message.amount}")
            if message.amount == 0:
                raise ValueError("no money")
            return Deal.PAID if message.amount >= 10 else Stay()


async def test_a_message_waits_for_a_running_step_and_is_taken_if_the_run_stays() -> None:
    case = Stepping()
    case.step = "waits"
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, case.workflow, "1")
        await bench.pass_time()
        key = await pay(bench, runs["1"].run_id, 10)
        await bench.pass_time(5)
        assert case.calls == ["step"]
        case.step = "stays"
        case.gate.set()
        await bench.pass_time()
        assert case.calls == ["step", "paid 10"]
        assert (await read(bench, key)).outcome is MessageOutcome.TAKEN


async def test_a_message_does_not_wait_for_the_backoff_of_the_step_and_leaves_it_as_it_is() -> None:
    case = Stepping()
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, case.workflow, "1")
        await bench.pass_time()
        await pay(bench, runs["1"].run_id, 1)
        await bench.pass_time()
        assert case.calls == ["step", "paid 1"]
        record = await record_of(bench, runs["1"].run_id)
        assert (record.attempt, record.awaited, record.awaits) == (1, 2, Awaits.EVENT)
        await bench.pass_time(60)
        assert case.calls == ["step", "paid 1", "step"]
        assert (await record_of(bench, runs["1"].run_id)).attempt == 2


async def test_a_step_goes_on_after_a_message_that_came_before_it() -> None:
    case = Stepping()
    case.step = "passes"
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, case.workflow, "stays", "fails")
        await pay(bench, runs["stays"].run_id, 1)
        await pay(bench, runs["fails"].run_id, 0)
        await bench.consumer(Deal.OPEN)
        await bench.pass_time()
        assert sorted(case.calls) == ["paid 0", "paid 1", "step", "step"]
        assert await bench.causes(runs["stays"].run_id) == [
            Cause.TRIGGER,
            Cause.CALLBACK,
            Cause.STEP,
        ]
        assert await bench.causes(runs["fails"].run_id) == [Cause.TRIGGER, Cause.STEP]


async def test_a_resume_asks_for_the_step_only_if_it_was_still_to_run() -> None:
    case = Stepping()
    case.step = "stays"
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, case.workflow, "stayed")
        await bench.pass_time()
        await runs["stayed"].pause("held")
        await runs["stayed"].resume()
        await bench.pass_time()
        assert case.calls == ["step"]
        assert (await record_of(bench, runs["stayed"].run_id)).awaits is Awaits.MESSAGE
        case.step = "fails"
        runs = await triggered(bench, case.workflow, "failed")
        await bench.pass_time()
        await runs["failed"].pause("held")
        await pay(bench, runs["failed"].run_id, 1)
        await runs["failed"].resume()
        await bench.pass_time()
        assert case.calls == ["step", "step", "paid 1"]
        await bench.pass_time(60)  # the step waits for the rest of its backoff
        assert case.calls == ["step", "step", "paid 1", "step"]


async def test_a_position_does_not_pass_the_event_of_a_step_that_waits_for_a_message() -> None:
    gate, workflow = asyncio.Event(), deals(partitions=1)

    @workflow.step(Deal.OPEN)
    async def work(run: DealRun) -> Literal[Deal.LOST]:
        return Deal.LOST

    @workflow.callback(Deal.OPEN)
    async def paid(run: DealRun, message: Payment) -> Literal[Deal.PAID] | Stay:
        await gate.wait()
        return Stay()

    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, "1")
        await pay(bench, runs["1"].run_id)
        consumer = await bench.consumer(Deal.OPEN)
        await bench.pass_time()
        assert await bench.position(Deal.OPEN) == {}
        await consumer.kill()
        gate.set()
        await bench.consumer(Deal.OPEN)
        await bench.pass_time(10)
        assert (await runs["1"].get()).status is Deal.LOST
        assert await bench.position(Deal.OPEN) == {0: (await bench.ends(Deal.OPEN))[0]}


# --- a step that is held back as before makes no version --------------------------------------


class Holding:
    """OPEN has a step whose run is held back once the gate is open, and a callback."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.workflow = deals()

        @self.workflow.step(Deal.OPEN)
        async def work(run: DealRun) -> Literal[Deal.LOST]:
            await self.gate.wait()
            raise NewerData("deals", run.run_id, 2, 1)

        @self.workflow.callback(Deal.OPEN)
        async def paid(run: DealRun, message: Payment) -> Literal[Deal.PAID]:
            return Deal.PAID

    async def held(self, bench: Bench) -> RunId:
        """Start a run, and return when its step was held back more than once."""
        await bench.publisher()
        runs = await triggered(bench, self.workflow, "1")
        await bench.consumer(Deal.OPEN)
        await bench.pass_time(5)
        run_id = RunId(runs["1"].run_id)
        assert await bench.causes(run_id) == [Cause.TRIGGER, Cause.PARKED]
        return run_id


async def test_a_message_that_comes_while_a_step_is_held_back_as_before_is_taken_at_once() -> None:
    case = Holding()
    async with Bench(case.workflow) as bench:
        run_id = await case.held(bench)
        case.gate.clear()
        await bench.pass_time(30)
        key = await pay(bench, run_id, 10)
        await bench.pass_time()
        assert (await read(bench, key)).outcome is None
        case.gate.set()
        await bench.pass_time()
        assert (await read(bench, key)).outcome is MessageOutcome.TAKEN


async def test_a_message_that_comes_while_that_is_committed_is_taken_at_once() -> None:
    case = Holding()
    async with Bench(case.workflow) as bench:
        run_id = await case.held(bench)
        keys = list[MessageKey]()
        store = bench.store.store

        async def stored(groups: Sequence[WriteGroup]) -> list[GroupResult]:
            if not keys and any(group.postponed for group in groups):
                keys.append(NO_KEY)
                keys[0] = await pay(bench, run_id, 10)
                for _ in range(20):  # so that its event is received before this commit
                    await asyncio.sleep(0)
                bench.store.store = store  # type: ignore[method-assign]  # as it was
            return await store(groups)

        bench.store.store = stored  # type: ignore[method-assign]  # it wraps the one of this store
        while not keys:
            await bench.pass_time(1)
        assert (await read(bench, keys[0])).outcome is MessageOutcome.TAKEN
