"""Middleware runs around every function of its workflow."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, ParcelRun, Stage
from tests.unit.wrappers import plain_wrapper, to_an_awaitable
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
    resource,
)
from workflow_ray.definition import Children
from workflow_ray.testing import WorkflowTester
from workflow_ray_adapters.memory import MemorySource

TENANT: ContextVar[str] = ContextVar("tenant", default="none")


class At(Status):
    CREATED = 1
    WAITING = 2
    SENT = 3


class Order(BaseModel):
    total: int = 0


class Letter(Status):
    DRAFT = 1
    POSTED = 2


OrderRun = Run[Order, At]


class Noting:
    """Middleware that notes each call, and what it returned or raised."""

    def __init__(self) -> None:
        self.calls = list[FunctionCall]()
        self.ends = list[object]()

    async def __call__(self, call: FunctionCall, proceed: Proceed) -> object:
        self.calls.append(call)
        try:
            value = await proceed()
        except Exception as error:
            self.ends.append(error)
            raise
        self.ends.append(value)
        return value

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(call.kind, call.function.rpartition(".")[2]) for call in self.calls]


def packing(
    *middleware: Middleware, step: Callable[..., Any] | None = None, **options: Any
) -> Workflow[Parcel, Stage]:
    """A workflow of one step."""
    workflow = Workflow("parcels", Parcel, Stage, middleware=middleware)

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    workflow.step(Stage.NEW, **options)(step or pack)
    return workflow


async def run_of(workflow: Workflow[Parcel, Stage], **options: Any) -> Run[Parcel, Stage]:
    async with WorkflowTester(workflow, **options) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.advance(timedelta(hours=1))
        return await handle.wait()


# --- what it gets -------------------------------------------------------------------------------


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


async def test_it_gets_the_number_of_the_attempt_at_an_event() -> None:
    noting = Noting()
    workflow = packing(noting)

    @workflow.connector("carts", MemorySource("attempts"), retry=Retry(attempts=3))
    async def on_cart(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        raise ValueError("broken")

    @workflow.schedule("hourly", every=timedelta(hours=1))
    async def hourly(tick: datetime) -> Parcel:
        raise ValueError("broken")

    async with WorkflowTester(workflow) as tester:
        await tester.feed("carts", b"{}")
        await tester.advance(timedelta(minutes=59))
        for seconds in (60, 1, 2):  # the schedule's pauses are 1 s and 2 s
            await tester.advance(timedelta(seconds=seconds))
    attempts = sorted((call.kind, call.attempt) for call in noting.calls)
    assert attempts == [("connector", number) for number in (1, 2, 3)] + [
        ("schedule", number) for number in (1, 2, 3)
    ]


# --- order, results and errors ------------------------------------------------------------------


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


async def run_of_paused(workflow: Workflow[Parcel, Stage]) -> Run[Parcel, Stage]:
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.advance(timedelta(hours=1))
        run = await handle.get()
    assert run.run_state is RunState.PAUSED
    return run


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


async def test_a_call_of_proceed_that_is_not_awaited_loses_no_event() -> None:
    """None is what a handler returns, so only the call shows that the handler was meant to run."""
    handled = list[bytes]()

    async def forgetful(call: FunctionCall, proceed: Proceed) -> object:
        made = proceed()
        return await made if call.attempt == 3 else None

    workflow = packing(forgetful)

    @workflow.connector("carts", MemorySource("forgotten"), retry=Retry(attempts=3))
    async def on_cart(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        handled.append(event.data)

    async with WorkflowTester(workflow) as tester:
        await tester.feed("carts", b"{}")
        assert handled == []
        await tester.advance(timedelta(hours=1))
    assert handled == [b"{}"]


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


async def test_a_handler_whose_middleware_fails_is_tried_again() -> None:
    handled, noting = list[str](), Noting()

    async def refusing(call: FunctionCall, proceed: Proceed) -> object:
        if call.kind in ("connector", "hook") and call.attempt == 1:
            raise ConnectionError("away")
        return await proceed()

    workflow = packing(refusing, noting)

    @workflow.connector("carts", MemorySource("refused"))
    def on_cart(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        handled.append(event.key)

    @workflow.on_complete
    def thank(run: ParcelRun) -> None:
        handled.append(run.foreign_id)

    async with WorkflowTester(workflow) as tester:
        await tester.client(workflow).trigger("run", Parcel())
        await tester.feed("carts", ("event", b"{}"))
        assert handled == []
        await tester.advance(timedelta(hours=1))
    assert sorted(handled) == ["event", "run"]
    assert {(call.kind, call.attempt) for call in noting.calls} == {
        ("step", 1),
        ("connector", 2),
        ("hook", 2),
    }


async def test_a_schedule_whose_middleware_returns_other_data_is_called_again() -> None:
    async def changing(call: FunctionCall, proceed: Proceed) -> object:
        value = await proceed()
        return Order() if call.attempt == 1 and call.kind == "schedule" else value

    workflow = packing(changing)

    @workflow.schedule("hourly", every=timedelta(hours=1))
    def hourly(tick: datetime) -> Parcel:
        return Parcel(label="hourly")

    async with WorkflowTester(workflow) as tester:
        await tester.advance(timedelta(hours=1))
        assert await tester.client(workflow).counts() == {}
        await tester.advance(timedelta(minutes=5))
        assert list((await tester.client(workflow).counts()).values()) == [1]


async def test_it_runs_around_a_schedule_that_a_client_triggers() -> None:
    noting = Noting()
    workflow = packing(noting)

    @workflow.schedule("hourly", every=timedelta(hours=1))
    def hourly(tick: datetime) -> Parcel:
        return Parcel()

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        await client.trigger_schedule("hourly")
        tick = datetime(2029, 1, 1, tzinfo=UTC)
        await client.backfill("hourly", tick, tick + timedelta(hours=1))
    ticks = [call.tick for call in noting.calls if call.kind == "schedule"]
    assert ticks == [datetime(2030, 1, 1, tzinfo=UTC), tick]


# --- threads, context and time ------------------------------------------------------------------


async def setting(call: FunctionCall, proceed: Proceed) -> object:
    token = TENANT.set(f"tenant of {call.run.foreign_id if call.run is not None else call.kind}")
    try:
        return await proceed()
    finally:
        TENANT.reset(token)


@pytest.mark.parametrize("is_async", [True, False])
async def test_context_variables_that_it_sets_reach_the_function(is_async: bool) -> None:
    seen = list[tuple[str, bool]]()

    def look() -> None:
        seen.append((TENANT.get(), threading.current_thread() is threading.main_thread()))

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        look()
        return Stage.DONE

    def pack_plainly(run: ParcelRun) -> Literal[Stage.DONE]:
        look()
        return Stage.DONE

    workflow = packing(setting, step=pack if is_async else pack_plainly)

    @workflow.schedule("hourly", every=timedelta(hours=1))
    def hourly(tick: datetime) -> None:
        look()

    await run_of(workflow)
    assert seen == [("tenant of 1", is_async), ("tenant of schedule", False)]
    assert TENANT.get() == "none"


@pytest.mark.parametrize("wrap", [plain_wrapper, to_an_awaitable])
async def test_a_plain_wrapper_of_an_async_function_is_awaited_inside(
    wrap: Callable[..., Any],
) -> None:
    noting = Noting()

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await asyncio.sleep(0)
        return Stage.DONE

    assert (await run_of(packing(noting, step=wrap(pack)))).status is Stage.DONE
    assert noting.ends == [Stage.DONE]


async def test_an_error_of_a_plain_function_passes_through_it() -> None:
    noting = Noting()

    def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        raise ValueError("broken")

    run = await run_of_paused(packing(noting, step=pack, retry=Retry(attempts=1)))
    assert str(noting.ends) == "[ValueError('broken')]"
    assert "broken" in (run.reason or "")


async def test_a_plain_function_that_raises_no_exception_fails_its_attempt_alone() -> None:
    def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        raise SystemExit(3)

    run = await run_of_paused(packing(Noting(), step=pack, retry=Retry(attempts=1)))
    assert "SystemExit" in (run.reason or "")


async def test_the_time_limit_of_the_function_holds_for_it() -> None:
    async def slow(call: FunctionCall, proceed: Proceed) -> object:
        await asyncio.Event().wait()
        return await proceed()

    workflow = packing(slow, timeout=5, retry=Retry(attempts=1))
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        handle = await bench.client(workflow).trigger("1", Parcel())
        await bench.pass_time(4)
        assert (await handle.get()).run_state is RunState.INITIATED
        await bench.pass_time(2)
        run = await handle.get()
    assert run.run_state is RunState.PAUSED
    assert "5 s" in (run.reason or "")


@resource
async def printer() -> AsyncIterator[str]:
    yield "printer"


async def test_resources_reach_the_function() -> None:
    noting, used = Noting(), list[str]()

    async def pack(run: ParcelRun, by: str = printer.value) -> Literal[Stage.DONE]:
        used.append(by)
        return Stage.DONE

    await run_of(packing(noting, step=pack), resources={printer: "fake"})
    assert used == ["fake"]


async def test_once_and_children_work_inside_of_it() -> None:
    charges = list[int]()

    async def charge() -> str:
        charges.append(1)
        return "receipt"

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        run.data.label = await run.once("charge", charge)
        if run.attempt == 0:
            raise ValueError("after the charge")
        return Stage.DONE

    run = await run_of(packing(Noting(), step=pack, retry=Retry(attempts=2)))
    assert (run.data.label, charges) == ("receipt", [1])


# --- batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [True, False])
async def test_it_runs_once_around_each_call_of_a_batch_step(is_async: bool) -> None:
    noting, seen = Noting(), list[str]()

    async def for_batch(call: FunctionCall, proceed: Proceed) -> object:
        TENANT.set(f"tenant of {len(call.runs)} runs")
        return await proceed()

    workflow = Workflow("parcels", Parcel, Stage, middleware=[noting, for_batch])

    def packed(runs: list[ParcelRun]) -> list[Literal[Stage.DONE] | Exception]:
        seen.append(TENANT.get())
        return [ValueError("broken") if run.foreign_id == "bad" else Stage.DONE for run in runs]

    if is_async:

        @workflow.batch_step(Stage.NEW, max_batch=10, max_wait=1, retry=Retry(attempts=1))
        async def pack(runs: list[ParcelRun]) -> list[Literal[Stage.DONE] | Exception]:
            return packed(runs)
    else:

        @workflow.batch_step(Stage.NEW, max_batch=10, max_wait=1, retry=Retry(attempts=1))
        def pack_plainly(runs: list[ParcelRun]) -> list[Literal[Stage.DONE] | Exception]:
            return packed(runs)

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        handles = [await client.trigger(name, Parcel()) for name in ("good", "bad")]
        await tester.advance(timedelta(seconds=5))
        states = [(await handle.get()).run_state for handle in handles]
    assert states == [RunState.COMPLETED, RunState.PAUSED]
    (call,) = noting.calls
    assert (call.kind, call.run, call.attempt) == ("batch_step", None, 1)
    assert {run.foreign_id for run in call.runs} == {"good", "bad"}
    assert seen == ["tenant of 2 runs"]


async def test_what_it_raises_around_a_batch_halves_the_batch_as_an_error_of_the_function() -> None:
    sizes = list[int]()

    async def refusing(call: FunctionCall, proceed: Proceed) -> object:
        sizes.append(len(call.runs))
        if len(call.runs) > 1:
            raise MemoryError("too many")
        return await proceed()

    workflow = Workflow("parcels", Parcel, Stage, middleware=[refusing])

    @workflow.batch_step(Stage.NEW, max_batch=10, max_wait=1, retry=Retry(attempts=1))
    async def pack(runs: list[ParcelRun]) -> list[Literal[Stage.DONE] | Exception]:
        return [Stage.DONE for _ in runs]

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        handles = [await client.trigger(name, Parcel()) for name in ("a", "b")]
        await tester.advance(timedelta(minutes=5))
        states = [(await handle.get()).run_state for handle in handles]
    assert states == [RunState.COMPLETED, RunState.COMPLETED]
    assert sorted(sizes) == [1, 1, 2]
