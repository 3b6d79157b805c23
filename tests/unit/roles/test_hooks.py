"""Hooks: they are called with runs that were paused, cancelled or completed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Literal, Self

import pytest
from pydantic import model_validator

from tests.unit.bench import AtWork, Bench
from tests.unit.parcels import Parcel, ParcelRun, Stage, packing, parcels
from workflow_ray import Fatal, Retry, Run, RunState, Workflow, resource
from workflow_ray.records import Role, SetAsideQuery, hooks_group, run_state_topic
from workflow_ray.testing import WorkflowTester

GROUP = hooks_group("parcels")


async def hooks(bench: Bench) -> AtWork:
    return await bench.start(Role(GROUP))


async def test_each_hook_is_called_for_its_run_state_only() -> None:
    workflow = packing()
    called = list[tuple[str, str, RunState]]()

    @workflow.on_complete
    async def thank(run: ParcelRun) -> None:
        called.append(("thank", run.foreign_id, run.run_state))

    @workflow.on_cancel
    async def regret(run: ParcelRun) -> None:
        called.append(("regret", run.foreign_id, run.run_state))

    @workflow.on_pause
    async def alarm(run: ParcelRun) -> None:
        called.append(("alarm", run.foreign_id, run.run_state))

    async with Bench(workflow) as bench:
        await bench.publisher()
        await hooks(bench)
        client = bench.client(workflow)
        paused = await client.trigger("paused", Parcel())
        await paused.pause("a test")
        cancelled = await client.trigger("cancelled", Parcel())
        await cancelled.cancel("a test")
        await client.trigger("completed", Parcel())
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert sorted(called) == [
            ("alarm", "paused", RunState.PAUSED),
            ("regret", "cancelled", RunState.CANCELLED),
            ("thank", "completed", RunState.COMPLETED),
        ]


async def test_data_whose_validator_raises_no_exception_is_a_failure_of_its_hooks() -> None:
    class Abort(BaseException):
        pass

    class Odd(Parcel):
        @model_validator(mode="after")
        def check(self) -> Self:
            if self.label == "odd":
                raise Abort
            return self

    workflow = packing()
    odd: Workflow[Odd, Stage] = Workflow("parcels", Odd, Stage, entry=tuple(Stage))

    @odd.on_cancel(retry=Retry(attempts=1))
    async def alarm(run: Run[Odd, Stage]) -> None:
        raise AssertionError

    @workflow.on_cancel
    async def regret(run: ParcelRun) -> None: ...

    async with Bench(workflow) as bench:
        await bench.publisher()
        bench.workflows = (odd,)
        await hooks(bench)
        handle = await bench.client(workflow).trigger("1", Parcel(label="odd"))
        await handle.cancel("a test")
        await bench.pass_time()
        (entry,) = await bench.store.set_aside(SetAsideQuery(group=GROUP))
        assert (entry.due_at, entry.attempt) == (None, 1)
        assert "Abort" in entry.error


@pytest.mark.parametrize("apart", [False, True])
async def test_a_hook_gets_the_run_as_it_was_although_the_run_has_moved_on(apart: bool) -> None:
    workflow = parcels()
    got = list[tuple[RunState, Stage, str, str | None, str]]()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        run.data.label = "packed"
        return Stage.DONE

    @workflow.on_pause
    async def alarm(run: ParcelRun) -> None:
        got.append((run.run_state, run.status, run.data.label, run.reason, run.idempotency_key))

    async with Bench(workflow, apart=apart) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        handle = await bench.client(workflow).trigger("order-1", Parcel(label="new"))
        await handle.pause("held by support")
        await handle.resume()
        await bench.pass_time(1)
        assert (await handle.get()).run_state is RunState.COMPLETED
        await hooks(bench)
        await bench.pass_time(1)
        assert got == [(RunState.PAUSED, Stage.NEW, "new", "held by support", f"{handle.run_id}:2")]


async def test_a_run_that_its_step_pauses_with_an_error_calls_the_hook_with_the_error() -> None:
    workflow = parcels()
    reasons = list[str | None]()

    @workflow.step(Stage.NEW, retry=Retry(attempts=1))
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        raise ValueError("broken")

    @workflow.on_pause
    async def alarm(run: ParcelRun) -> None:
        reasons.append(run.reason)

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await hooks(bench)
        await bench.client(workflow).trigger("order-1", Parcel())
        await bench.pass_time()
    assert reasons == ["ValueError: broken"]


async def test_a_hook_that_fails_is_called_again_and_the_others_are_not() -> None:
    workflow = packing()
    called = list[str]()

    @workflow.on_complete(retry=Retry(attempts=3, backoff=timedelta(seconds=1)))
    async def flaky(run: ParcelRun) -> None:
        called.append("flaky")
        if called.count("flaky") < 3:
            raise ValueError("broken")

    @workflow.on_complete
    async def steady(run: ParcelRun) -> None:
        called.append("steady")

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await hooks(bench)
        await bench.client(workflow).trigger("order-1", Parcel())
        await bench.pass_time(30)
        assert sorted(called) == ["flaky", "flaky", "flaky", "steady"]
        assert await bench.whole.set_aside(SetAsideQuery(group=GROUP)) == []


async def test_a_hook_whose_attempts_are_used_up_leaves_a_dead_letter() -> None:
    workflow = packing()
    called = list[str]()

    @workflow.on_complete(retry=Retry(attempts=2))
    async def broken(run: ParcelRun) -> None:
        called.append("broken")
        raise ValueError("broken")

    @workflow.on_complete
    async def refusing(run: ParcelRun) -> None:
        called.append("refusing")
        raise Fatal("never")

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await hooks(bench)
        handle = await bench.client(workflow).trigger("order-1", Parcel())
        await bench.pass_time(60)
        assert sorted(called) == ["broken", "broken", "refusing"]
        (letter,) = await bench.whole.set_aside(SetAsideQuery(group=GROUP, dead=True))
        assert letter.event_id == f"{handle.run_id}-2"
        assert (await handle.get()).run_state is RunState.COMPLETED


async def test_a_hook_that_was_running_when_its_process_died_is_called_again() -> None:
    workflow = packing()
    called = list[str]()

    @workflow.on_complete
    async def thank(run: ParcelRun) -> None:
        called.append(run.foreign_id)
        if len(called) == 1:
            await asyncio.Event().wait()

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        first = await hooks(bench)
        await bench.client(workflow).trigger("order-1", Parcel())
        await bench.pass_time()
        await first.kill()
        await hooks(bench)
        await bench.pass_time(1)
    assert called == ["order-1", "order-1"]


async def test_hooks_get_their_resources_and_plain_functions_are_hooks() -> None:
    workflow = packing()
    opened = list[str]()
    called = list[tuple[str, str]]()

    @resource
    async def mail() -> AsyncIterator[str]:
        opened.append("mail")
        yield "mail"

    @workflow.on_complete
    async def one(run: ParcelRun, sender: str = mail.value) -> None:
        called.append(("one", sender))

    @workflow.on_complete
    def two(run: ParcelRun, other: str = mail.value) -> None:
        called.append(("two", other))

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await hooks(bench)
        await bench.client(workflow).trigger("order-1", Parcel())
        while len(called) < 2:
            await bench.pass_time()
    assert opened == ["mail"]
    assert sorted(called) == [("one", "mail"), ("two", "mail")]


async def test_no_event_is_sent_for_a_run_state_that_no_hook_asks_for() -> None:
    workflow = packing()

    @workflow.on_cancel
    async def regret(run: ParcelRun) -> None: ...

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await bench.client(workflow).trigger("order-1", Parcel())
        await bench.pass_time()
        topic = run_state_topic("parcels")
        ends = await bench.whole.ends(topic, range(workflow.partitions))
        assert set(ends.values()) == {0}


async def test_a_run_that_a_schedule_or_a_parent_starts_at_its_end_calls_the_hook() -> None:
    letters = Workflow("letters", Parcel, Stage, start=Stage.DONE, entry=Stage.NEW)
    told = list[str]()

    @letters.step(Stage.NEW)
    async def write(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    @letters.schedule("hourly", every=3600)
    def hourly(tick: datetime) -> Parcel:
        return Parcel(label="scheduled")

    @letters.on_complete
    async def note(run: ParcelRun) -> None:
        told.append(run.data.label)

    parents = parcels()

    @parents.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        run.start(letters, "letter", Parcel(label="started"))
        return Stage.DONE

    async with WorkflowTester(parents, letters) as tester:
        await (await tester.client(parents).trigger("parcel", Parcel())).wait()
        await tester.advance(timedelta(hours=1))
    assert told == ["started", "scheduled"]
