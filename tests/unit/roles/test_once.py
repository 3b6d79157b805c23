"""run.once: a side effect's result is stored within the visit, so that a repeat finds it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Parcel, ParcelRun, Stage, parcels
from tests.unit.roles.messaging import Deal, DealRun, Payment, deals, pay
from workflow_ray import Handle, Repeat, Retry, RunState
from workflow_ray.errors import RunPaused
from workflow_ray.records import Cause, GroupResult, WriteGroup


class Receipt(BaseModel):
    number: int


class Charging:
    """A step that charges, then does what the last function of `work` does."""

    def __init__(self, call: Callable[..., Any], *args: Any, attempts: int = 3) -> None:
        self.results = list[object]()
        self.fails = 0  # how many attempts fail after the charge
        self.workflow = parcels(partitions=1)
        self.runs = list[ParcelRun]()

        @self.workflow.step(Stage.NEW, retry=Retry(attempts=attempts, backoff=timedelta(seconds=1)))
        async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
            self.runs.append(run)
            self.results.append(await run.once("charge", call, *args))
            if self.fails:
                self.fails -= 1
                raise ValueError("broken")
            return Stage.DONE

    async def run(self, bench: Bench) -> Handle[Parcel, Stage]:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        handle = (await triggered(bench, self.workflow, "1"))["1"]
        await bench.pass_time(10)
        return handle


async def test_a_repeat_of_the_step_finds_the_result_and_does_not_call_again() -> None:
    calls = list[int]()

    async def charge(amount: int) -> str:
        calls.append(amount)
        return f"charge-{amount}"

    case = Charging(charge, 40)
    case.fails = 2
    async with Bench(case.workflow) as bench:
        handle = await case.run(bench)
        assert (await handle.get()).status is Stage.DONE
    assert calls == [40]
    assert case.results == ["charge-40"] * 3


async def test_a_plain_function_is_called_in_a_thread() -> None:
    calls = list[str]()

    def charge(amount: int) -> Receipt:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        calls.append("called")
        return Receipt(number=amount)

    case = Charging(charge, 40)
    case.fails = 1
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        handle = (await triggered(bench, case.workflow, "1"))["1"]
        waiting = asyncio.create_task(handle.wait())
        while not waiting.done():
            await bench.pass_time(1)
            await asyncio.sleep(0)
    assert calls == ["called"]
    assert case.results == [Receipt(number=40)] * 2


async def test_a_new_visit_calls_again() -> None:
    calls, workflow = list[int](), parcels()

    async def charge(visit: int) -> int:
        calls.append(visit)
        return visit

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.NEW, Stage.DONE] | Repeat:
        seen = await run.once("charge", charge, run.visit)
        run.data.weight += 1
        if run.data.weight == 1:
            return Repeat()
        return Stage.NEW if seen == 1 else Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        handle = (await triggered(bench, workflow, "1"))["1"]
        await bench.pass_time()
        assert (await handle.get()).status is Stage.DONE
    assert calls == [1, 3]


async def test_what_the_function_raises_is_not_stored() -> None:
    calls = list[int]()

    async def charge() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise ValueError("no network")
        return 7

    case = Charging(charge)
    async with Bench(case.workflow) as bench:
        handle = await case.run(bench)
        assert await bench.causes(handle.run_id) == [
            Cause.TRIGGER,
            Cause.RETRY,
            Cause.RETRY,
            Cause.STEP,
        ]
    assert case.results == [7]


async def tuples() -> Any:
    return (1, 2)


async def sockets() -> Any:
    return object()


async def wrong_model() -> Receipt:
    return Payment(amount=1)  # type: ignore[return-value]


async def large() -> str:
    return "x" * 2**26


@pytest.mark.parametrize("function", [tuples, sockets, wrong_model, large])
async def test_a_result_that_can_not_be_stored_fails_the_run_without_another_call(
    function: Callable[[], Awaitable[object]],
) -> None:
    case = Charging(function)
    async with Bench(case.workflow) as bench:
        handle = await case.run(bench)
        run = await handle.get()
        assert run.run_state is RunState.PAUSED
        assert run.reason is not None
        assert "run.once('charge')" in run.reason
        assert "result" in run.reason
        assert len(case.runs) == 1


async def test_a_name_is_used_once_in_an_attempt() -> None:
    workflow = parcels()

    async def charge() -> int:
        return 1

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await run.once("charge", charge)
        await run.once("charge", charge)
        return Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        handle = (await triggered(bench, workflow, "1"))["1"]
        await bench.pass_time()
        run = await handle.get()
        assert run.run_state is RunState.PAUSED
        assert run.reason is not None
        assert "has used the name already" in run.reason


async def test_once_after_the_function_has_returned_is_refused() -> None:
    async def charge() -> int:
        return 1

    case = Charging(charge)
    async with Bench(case.workflow) as bench:
        await case.run(bench)
        with pytest.raises(Exception, match="the function has ended"):
            await case.runs[0].once("other", charge)


def forget(_: Coroutine[Any, Any, int]) -> None:
    """Do not await it."""


def run_alone(call: Coroutine[Any, Any, int]) -> None:
    asyncio.run(call)


@pytest.mark.parametrize("wait", [run_alone, forget])
async def test_a_plain_step_is_told_that_it_can_not_wait_for_once(
    wait: Callable[[Coroutine[Any, Any, int]], None],
) -> None:
    workflow = parcels()

    async def charge() -> int:
        return 1

    @workflow.step(Stage.NEW)
    def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        wait(run.once("charge", charge))
        return Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        handle = (await triggered(bench, workflow, "1"))["1"]
        with pytest.raises(RunPaused, match="await it in an async function"):
            await handle.wait()


async def test_an_attempt_whose_run_has_moved_on_ends_without_a_result() -> None:
    gate, after = asyncio.Event(), list[str]()

    async def charge() -> int:
        await gate.wait()
        return 1

    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await run.once("charge", charge)
        after.append("not reached")
        return Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        handle = (await triggered(bench, workflow, "1"))["1"]
        await bench.pass_time()
        await handle.cancel("enough")
        gate.set()
        await bench.pass_time()
        assert after == []
        assert await bench.causes(handle.run_id) == [Cause.TRIGGER, Cause.CANCEL]
        assert not consumer.task.done()
        await consumer.leave()


async def test_a_pause_during_the_call_does_not_lose_its_result() -> None:
    calls, gate = list[int](), asyncio.Event()

    async def charge(amount: int) -> int:
        calls.append(amount)
        await gate.wait()
        return amount

    case = Charging(charge, 40)
    async with Bench(case.workflow) as bench:
        handle = await case.run(bench)
        await handle.pause("a look first")
        gate.set()
        await bench.pass_time()
        await handle.resume()
        await bench.pass_time()
        assert (await handle.get()).status is Stage.DONE
    assert (calls, case.results) == ([40], [40, 40])


async def test_a_process_that_dies_after_the_commit_of_a_result_does_not_call_again() -> None:
    calls, gate = list[int](), asyncio.Event()

    async def charge() -> int:
        calls.append(1)
        return 7

    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        run.data.weight = await run.once("charge", charge)
        await gate.wait()
        return Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        handle = (await triggered(bench, workflow, "1"))["1"]
        await bench.pass_time()
        await consumer.kill()
        gate.set()
        await bench.consumer(Stage.NEW)
        await bench.pass_time(60)
        assert (await handle.get()).data.weight == 7
    assert calls == [1]


async def test_results_of_many_runs_are_stored_and_read_together() -> None:
    calls = {"store": 0, "results": 0}

    async def charge() -> int:
        return 1

    case = Charging(charge)
    case.fails = 100
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        await triggered(bench, case.workflow, *map(str, range(100)))
        store, results = bench.store.store, bench.store.results

        async def counted(groups: list[WriteGroup]) -> list[GroupResult]:
            calls["store"] += any(group.results for group in groups)
            return await store(groups)

        async def read(run_ids: list[Any]) -> Any:
            calls["results"] += 1
            return await results(run_ids)

        bench.store.store = counted  # type: ignore[method-assign, assignment]
        bench.store.results = read  # type: ignore[method-assign, assignment]
        await bench.consumer(Stage.NEW)
        await bench.pass_time(2)
        assert len(case.results) == 200
        assert calls["store"] <= 5
        assert 0 < calls["results"] <= 100, "the repeats are spread by jitter"


async def test_a_callback_uses_once_too() -> None:
    workflow, calls = deals(), list[int]()

    async def book(amount: int) -> int:
        calls.append(amount)
        return amount

    @workflow.callback(Deal.OPEN, retry=Retry(attempts=2, backoff=timedelta(seconds=1)))
    async def paid(run: DealRun, message: Payment) -> Literal[Deal.PAID]:
        run.data.weight = await run.once("book", book, message.amount)
        if run.attempt == 0:
            raise ValueError("broken")
        return Deal.PAID

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        handle = (await triggered(bench, workflow, "1"))["1"]
        await pay(bench, handle.run_id, 9)
        await bench.pass_time(2)
        assert (await handle.get()).data.weight == 9
    assert calls == [9]
