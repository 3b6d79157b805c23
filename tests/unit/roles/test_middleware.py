"""Middleware runs around every function of its workflow."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Stage
from tests.unit.roles.layers import Noting, Order, packing, run_of, run_of_paused
from workflow_ray import (
    Cause,
    Client,
    ConnectorEvent,
    Fatal,
    FunctionCall,
    Middleware,
    Proceed,
    Repeat,
    Retry,
    Run,
    RunState,
    Status,
    Stay,
    Workflow,
)
from workflow_ray.definition import Children
from workflow_ray.testing import WorkflowTester
from workflow_ray_adapters.memory import MemorySource


class At(Status):
    CREATED = 1
    WAITING = 2
    SENT = 3


class Letter(Status):
    DRAFT = 1
    POSTED = 2


OrderRun = Run[Order, At]


def everything(noting: Noting) -> tuple[Workflow[Order, At], Workflow[Parcel, Letter]]:
    """A workflow with a function of each kind, and that of its children."""
    letters = Workflow("letters", Parcel, Letter)

    @letters.step(Letter.DRAFT)
    async def post(run: Run[Parcel, Letter]) -> Literal[Letter.POSTED]:
        return Letter.POSTED

    workflow = Workflow("orders", Order, At, middleware=[noting])

    @workflow.step(At.CREATED)
    async def reserve(run: OrderRun) -> Literal[At.WAITING]:
        run.start(letters, f"letter-{run.foreign_id}", Parcel())
        return At.WAITING

    @workflow.callback(At.WAITING)
    async def noted(run: OrderRun, message: str) -> Stay:
        return Stay()

    @workflow.child(At.WAITING, letters)
    async def posted(run: OrderRun, child: Run[Parcel, Letter]) -> Stay:
        return Stay()

    @workflow.children(At.WAITING, letters)
    async def all_posted(run: OrderRun, children: Children[Parcel, Letter]) -> Stay:
        return Stay()

    @workflow.timeout(At.WAITING, after=60)
    async def expire(run: OrderRun) -> Literal[At.SENT]:
        return At.SENT

    handle(workflow)
    return workflow, letters


def handle(workflow: Workflow[Order, At]) -> None:
    """Give the workflow a hook, a connector and a schedule."""

    @workflow.on_complete
    async def thank(run: OrderRun) -> None: ...

    @workflow.connector("carts", MemorySource("middleware"))
    async def on_cart(client: Client[Order, At], event: ConnectorEvent) -> None: ...

    @workflow.schedule("hourly", every=timedelta(hours=1))
    def hourly(tick: datetime) -> None:
        return None


async def test_it_runs_around_functions_of_every_kind_and_gets_what_they_are_about() -> None:
    noting = Noting()
    orders, letters = everything(noting)
    async with WorkflowTester(orders, letters) as tester:
        handle = await tester.client(orders).trigger("1", Order())
        await tester.settle()
        await handle.callback("noted", b'"hello"')
        await tester.feed("carts", ("order-2", b"{}"))
        await tester.advance(timedelta(hours=1))
        run = await handle.wait()
        assert run.status is At.SENT
    assert noting.kinds == [
        ("step", "reserve"),
        *sorted(noting.kinds[1:3]),
        ("callback", "noted"),
        ("connector", "carts"),
        ("timeout", "expire"),
        ("hook", "thank"),
        ("schedule", "hourly"),
    ]
    assert set(noting.kinds[1:3]) == {("child", "posted"), ("children", "all_posted")}
    calls = {call.kind: call for call in noting.calls}
    assert {call.workflow for call in noting.calls} == {"orders"}
    assert {call.attempt for call in noting.calls} == {1}
    with_run = {kind for kind, call in calls.items() if call.run is not None}
    assert with_run == {"step", "callback", "child", "children", "timeout", "hook"}
    assert all(call.run.foreign_id == "1" for call in noting.calls if call.run is not None)
    assert calls["callback"].message == "hello"
    assert isinstance(child := calls["child"].message, Run)
    assert child.foreign_id == "letter-1"
    assert isinstance(calls["children"].message, Children)
    event = calls["connector"].event
    assert event is not None
    assert event.key == "order-2"
    assert calls["schedule"].tick == datetime(2030, 1, 1, 1, tzinfo=UTC)
    step = calls["step"]
    assert (step.message, step.event, step.tick) == (None, None, None)


async def test_it_gets_the_run_that_the_function_gets() -> None:
    noting, got = Noting(), list[ParcelRun]()

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        got.append(run)
        return Stage.DONE

    await run_of(packing(noting, step=pack))
    assert noting.calls[0].run is got[0]


async def test_it_gets_the_number_of_the_attempt() -> None:
    noting = Noting()

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        if run.attempt < 2:
            raise ValueError("broken")
        return Stage.DONE

    await run_of(packing(noting, step=pack, retry=Retry(attempts=3)))
    assert [call.attempt for call in noting.calls] == [1, 2, 3]
    assert [type(end) for end in noting.ends] == [ValueError, ValueError, Stage]


async def test_the_first_layer_is_the_outermost() -> None:
    order = list[str]()

    def layer(name: str) -> Middleware:
        async def around(call: FunctionCall, proceed: Proceed) -> object:
            order.append(f"{name} begins")
            value = await proceed()
            order.append(f"{name} ends")
            return value

        return around

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        order.append("step")
        return Stage.DONE

    await run_of(packing(layer("outer"), layer("inner"), step=pack))
    assert order == ["outer begins", "inner begins", "step", "inner ends", "outer ends"]


async def test_its_changes_of_the_data_are_kept() -> None:
    async def labelling(call: FunctionCall, proceed: Proceed) -> object:
        value = await proceed()
        if call.run is not None:
            call.run.data.label = "seen"
        return value

    assert (await run_of(packing(labelling))).data.label == "seen"


async def test_what_it_raises_fails_the_attempt() -> None:
    async def refusing(call: FunctionCall, proceed: Proceed) -> object:
        if call.attempt == 1:
            raise PermissionError("no tenant")
        return await proceed()

    workflow = packing(refusing, retry=Retry(attempts=2))
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.advance(timedelta(hours=1))
        entries = await handle.history()
    assert [entry.cause for entry in entries] == [Cause.TRIGGER, Cause.RETRY, Cause.STEP]
    assert entries[1].reason == "PermissionError: no tenant"


async def test_fatal_of_it_is_not_retried() -> None:
    async def refusing(call: FunctionCall, proceed: Proceed) -> object:
        raise Fatal("no tenant")

    run = await run_of_paused(packing(refusing, retry=Retry(attempts=5)))
    assert "no tenant" in (run.reason or "")


async def test_an_error_that_it_handles_fails_nothing() -> None:
    async def forgiving(call: FunctionCall, proceed: Proceed) -> object:
        try:
            return await proceed()
        except ValueError:
            return Stage.DONE

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        raise ValueError("broken")

    run = await run_of(packing(forgiving, step=pack))
    assert (run.status, run.attempt) == (Stage.DONE, 0)


@pytest.mark.parametrize("value", [None, Stage.NEW, Repeat(), "DONE", Letter.POSTED])
async def test_what_it_returns_is_held_to_the_annotation_of_the_function(value: object) -> None:
    async def changing(call: FunctionCall, proceed: Proceed) -> object:
        await proceed()
        return value

    run = await run_of_paused(packing(changing, retry=Retry(attempts=5)))
    assert "which its annotation doesn't list" in (run.reason or "")


async def test_a_second_proceed_fails_the_attempt() -> None:
    calls = list[int]()

    async def again(call: FunctionCall, proceed: Proceed) -> object:
        try:
            return await proceed()
        except ValueError:
            return await proceed()

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        calls.append(run.attempt)
        raise ValueError("broken")

    run = await run_of_paused(packing(again, step=pack, retry=Retry(attempts=2)))
    assert calls == [0, 1]
    assert "it has called `proceed` already; declare `retry=`" in (run.reason or "")


async def test_a_forgotten_await_fails_the_attempt() -> None:
    async def forgetful(call: FunctionCall, proceed: Proceed) -> object:
        return proceed()

    run = await run_of_paused(packing(forgetful, retry=Retry(attempts=1)))
    assert "forgetful: it returned an awaitable; write `return await proceed()`" in (
        run.reason or ""
    )


@pytest.mark.parametrize("turns", [0, 1])
async def test_a_call_of_proceed_must_end_before_the_middleware(turns: int) -> None:
    tasks = list[asyncio.Task[object]]()

    async def hasty(call: FunctionCall, proceed: Proceed) -> object:
        tasks.append(asyncio.create_task(proceed()))
        for _ in range(turns):
            await asyncio.sleep(0)
        return Stage.DONE

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await asyncio.sleep(0)
        return Stage.DONE

    run = await run_of_paused(packing(hasty, step=pack, retry=Retry(attempts=1)))
    assert "hasty: it returned before its call of `proceed` had ended; write" in (run.reason or "")
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_call_of_proceed_that_the_middleware_cancels_has_ended() -> None:
    async def impatient(call: FunctionCall, proceed: Proceed) -> object:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(proceed(), 0)
        return Stage.DONE

    run = await run_of(packing(impatient))
    assert run.run_state is RunState.COMPLETED
