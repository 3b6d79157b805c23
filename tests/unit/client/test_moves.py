"""A run that an operator moves enters the status as if a transition led there."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, Literal

import pytest

from tests.unit.bench import Bench
from tests.unit.client.orders import At, Order, Payment, Shop, shop
from tests.unit.parcels import Parcel, Route, RoutedRun
from tests.unit.roles.shipments import Shipment, Shipping
from workflow_ray import Cause, Fatal, Handle, Run, RunState, Workflow
from workflow_ray.client.past_runs import run_at
from workflow_ray.errors import ControlRefused, InvalidInput
from workflow_ray.records import Awaits, Record, RunId, Version
from workflow_ray.testing import WorkflowTester

CALLERS = 50


async def record_of(shop: Shop, handle: Handle[Order, At]) -> Record:
    (record,) = await shop.store.lookup([RunId(handle.run_id)], fresh=True)
    assert record is not None
    return record


async def causes(handle: Handle[Any, Any]) -> list[Cause]:
    return [entry.cause for entry in await handle.history()]


async def test_a_move_is_a_version_with_who_and_why_and_a_new_visit() -> None:
    shop = Shop()
    handle = await shop.at(At.CREATED)
    run = await handle.move(At.AWAITING_PAYMENT, "the stock is reserved by hand", by="ann")
    assert (run.status, run.version, run.visit) == (At.AWAITING_PAYMENT, 2, 2)
    entry = (await handle.history())[-1]
    why = "the stock is reserved by hand"
    assert (entry.cause, entry.by, entry.reason) == (Cause.MOVED, "ann", why)
    assert (await record_of(shop, handle)).awaits is Awaits.MESSAGE


async def test_a_moved_run_forgets_the_timeouts_of_the_status_that_it_leaves() -> None:
    workflow = shop()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Order())
        await handle.wait_for(At.AWAITING_PAYMENT)
        await tester.advance(timedelta(hours=47))
        await handle.move(At.AWAITING_PAYMENT, "give them time")
        await tester.advance(timedelta(hours=47))
        assert (await handle.get()).status is At.AWAITING_PAYMENT
        await tester.advance(timedelta(hours=2))
        assert (await handle.wait()).status is At.EXPIRED
        expected = [Cause.TRIGGER, Cause.STEP, Cause.MOVED, Cause.TIMEOUT]
        assert await causes(handle) == expected


async def test_a_run_that_is_moved_to_its_own_status_was_in_a_new_visit_from_then_on() -> None:
    shop = Shop()
    handle = await shop.at(At.AWAITING_PAYMENT)
    await handle.move(At.AWAITING_PAYMENT, "again")
    await handle.pause("wait")
    connection = handle._connection  # pyright: ignore[reportPrivateUsage]  # a handle reads no earlier version
    visits = [(await run_at(connection, handle.run_id, Version(v))).visit for v in (1, 2, 3, 4)]
    assert visits == [1, 2, 3, 3]


async def test_a_moved_run_takes_the_message_that_waits_for_the_status() -> None:
    workflow = shop()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Order())
        await handle.wait_for(At.AWAITING_PAYMENT)
        await handle.pause("wait")
        message = Payment(receipt="r").model_dump_json().encode()
        call = asyncio.create_task(handle.callback("paid", message))
        await tester.settle()
        await handle.move(At.AWAITING_PAYMENT, "go on")
        assert (await call).status is At.PAID


async def test_a_move_to_a_status_that_waits_for_children_waits_for_those_that_are_open() -> None:
    case = Shipping(weight=5).starting().all_at_once()
    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle = await case.ship(bench)
        await handle.move(Shipment.UNDER_WAY, "again")
        await bench.pass_time()
        assert (await handle.get()).status is Shipment.UNDER_WAY
        async for box in handle.children(case.boxes):
            await bench.client(case.boxes).handle(box.run_id).cancel("lost")
        await bench.pass_time()
        assert (await handle.get()).status is Shipment.DELIVERED
        assert [gathered[:3] for gathered in case.gathered] == [(3, 0, 3)]


class Failing:
    """NEW fails for good, PACKED leads to SENT."""

    def __init__(self) -> None:
        self.packed = list[int]()
        self.workflow = Workflow("routed", Parcel, Route, entry=tuple(Route))

        @self.workflow.step(Route.NEW)
        async def pack(run: RoutedRun) -> Literal[Route.PACKED]:
            raise Fatal("no box")

        @self.workflow.step(Route.PACKED)
        async def send(run: RoutedRun) -> Literal[Route.SENT]:
            self.packed.append(run.attempt)
            return Route.SENT


async def test_a_failed_run_goes_on_from_the_status_that_it_is_moved_to() -> None:
    failing = Failing()
    async with WorkflowTester(failing.workflow) as tester:
        handle = await tester.client(failing.workflow).trigger("1", Parcel())
        await tester.settle()
        await handle.move(Route.PACKED, "packed by hand")
        assert (await handle.wait()).status is Route.SENT
        assert failing.packed == [0]
        assert await causes(handle) == [Cause.TRIGGER, Cause.FAILED, Cause.MOVED, Cause.STEP]


@pytest.mark.parametrize("is_paused", [False, True])
async def test_a_run_that_is_moved_to_a_terminal_status_is_completed(is_paused: bool) -> None:
    workflow = shop()
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        handle = await client.trigger("1", Order())
        await handle.wait_for(At.AWAITING_PAYMENT)
        if is_paused:
            await handle.pause("wait")
        run = await handle.move(At.SHIPPED, "it was sent by hand")
        assert run.run_state is RunState.COMPLETED
        assert (await handle.wait()).version == run.version
        assert (await client.trigger("1", Order())).run_id != handle.run_id
        with pytest.raises(ControlRefused, match="move is refused: it is COMPLETED"):
            await handle.move(At.CREATED, "back")


async def test_a_move_to_what_is_not_a_status_of_the_workflow_is_refused() -> None:
    shop = Shop()
    handle = await shop.at(At.CREATED)
    wrong: Any = Route.NEW
    with pytest.raises(InvalidInput, match=r"status: .* is not a status of workflow 'shop'"):
        await handle.move(wrong, "x")
    with pytest.raises(InvalidInput, match="reason: give one: the history keeps why a run was mov"):
        await handle.move(At.PAID, None)  # type: ignore[arg-type]  # it is wrong
    assert (await handle.get()).version == 1


async def test_a_move_whose_timeout_has_no_time_is_refused_and_nothing_is_written() -> None:
    workflow = Workflow("dated", Order, At, entry=tuple(At))

    @workflow.step(At.CREATED)
    async def reserve(run: Run[Order, At]) -> Literal[At.PAID]:
        raise Fatal("out of stock")

    @workflow.timeout(At.PAID, at=lambda run: 1 / 0)  # type: ignore[arg-type, return-value]  # it raises
    async def expire(run: Run[Order, At]) -> Literal[At.EXPIRED]:
        return At.EXPIRED

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Order())
        await tester.settle()
        with pytest.raises(ControlRefused, match=r"At\.PAID can't be set: its `at` raised"):
            await handle.move(At.PAID, "x")
        assert (await handle.get()).run_state is RunState.PAUSED


# --- races --------------------------------------------------------------------------------------


async def test_the_result_of_a_step_that_a_move_has_overtaken_is_dropped() -> None:
    workflow = Workflow("routed", Parcel, Route, entry=tuple(Route))
    gate, started = asyncio.Event(), asyncio.Event()

    @workflow.step(Route.NEW)
    async def pack(run: RoutedRun) -> Literal[Route.LOST]:
        started.set()
        await gate.wait()
        run.data.label = "lost"
        return Route.LOST

    @workflow.step(Route.PACKED)
    async def send(run: RoutedRun) -> Literal[Route.SENT]:
        return Route.SENT

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await started.wait()
        await handle.move(Route.PACKED, "packed by hand")
        assert (await handle.wait()).status is Route.SENT
        gate.set()
        await tester.settle()
        assert await causes(handle) == [Cause.TRIGGER, Cause.MOVED, Cause.STEP]
        assert (await handle.get()).data.label == ""


async def test_of_many_callers_who_move_a_run_each_one_makes_a_version_or_is_refused() -> None:
    failing = Failing()
    async with Bench(failing.workflow) as bench:
        handle = await bench.client(failing.workflow).trigger("1", Parcel())
        targets = [Route.SENT, *[Route.NEW, Route.PACKED] * (CALLERS // 2)][:CALLERS]
        moves = [handle.move(to, f"caller {n}", by=f"{n}") for n, to in enumerate(targets)]
        answers = await asyncio.gather(*moves, return_exceptions=True)
        kinds = Counter(type(answer) for answer in answers)
        history = await handle.history()
        assert set(kinds) <= {Run, ControlRefused}
        assert len(history) == kinds[Run] + 1
        assert [entry.version for entry in history] == list(range(1, len(history) + 1))
        assert len({entry.by for entry in history[1:]}) == kinds[Run]
        assert history[-1].run_state is RunState.COMPLETED
        assert all(not entry.run_state.finished for entry in history[:-1])


async def test_of_many_callers_with_all_controls_each_version_is_one_of_theirs() -> None:
    failing = Failing()
    async with Bench(failing.workflow) as bench:
        handle = await bench.client(failing.workflow).trigger("1", Parcel())
        calls: list[Awaitable[Run[Parcel, Route]]] = []
        for by in map(str, range(CALLERS // 5)):
            calls += [
                handle.pause("x", by=f"pause {by}"),
                handle.resume("x", by=f"resume {by}"),
                handle.retry("x", by=f"retry {by}"),
                handle.move(Route.PACKED, "x", by=f"move {by}"),
                handle.cancel("x", by=f"cancel {by}"),
            ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(answer) for answer in answers} <= {Run, ControlRefused}
        history = await handle.history()
        assert [entry.version for entry in history] == list(range(1, len(history) + 1))
        writers = [entry.by for entry in history[1:]]
        assert len(writers) == len(set(writers))
        assert history[-1].run_state is RunState.CANCELLED
