"""The test kit runs what runs wait for, without sleeping: callbacks, timeouts, children, ticks and
events.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.unit.client.orders import At, Order, OrderRun, Payment
from workflow_ray import Client, Fatal, Run, RunState, Status, Workflow
from workflow_ray.definition import Children
from workflow_ray.errors import (
    CallbackFailed,
    CallbackTooEarly,
    CallbackTooLate,
    InvalidInput,
    NothingLeft,
    RunFinished,
)
from workflow_ray.records import ConnectorEvent
from workflow_ray.testing import WorkflowTester
from workflow_ray_adapters.memory import MemorySource


class Stage(Status):
    DRAFT = 1
    SENT = 2


class Invoice(BaseModel):
    total: int


InvoiceRun = Run[Invoice, Stage]
invoices = Workflow("invoices", Invoice, Stage)


@invoices.step(Stage.DRAFT)
def send(run: InvoiceRun) -> Literal[Stage.SENT]:
    return Stage.SENT


orders = Workflow("orders", Order, At, entry=At.SHIPPED)


@orders.step(At.CREATED)
async def reserve(run: OrderRun) -> Literal[At.AWAITING_PAYMENT]:
    return At.AWAITING_PAYMENT


@orders.callback(At.AWAITING_PAYMENT)
async def paid(run: OrderRun, message: Payment) -> Literal[At.PAID]:
    run.data.receipt = message.receipt
    return At.PAID


@orders.timeout(At.AWAITING_PAYMENT, after=timedelta(hours=48))
async def expire(run: OrderRun) -> Literal[At.EXPIRED]:
    return At.EXPIRED


@orders.connector("carts", MemorySource("test-kit"))
async def on_cart(client: Client[Order, At], event: ConnectorEvent) -> None:
    await client.trigger(event.key, Order.model_validate_json(event.data))


@orders.connector("payments", MemorySource("test-kit"))
async def on_payment(client: Client[Order, At], event: ConnectorEvent) -> None:
    await client.callback(paid, event.key, Payment.model_validate_json(event.data))


@pytest.fixture
async def tester() -> AsyncIterator[WorkflowTester]:
    async with WorkflowTester(orders) as tester:
        yield tester


async def test_a_callback_runs_up_to_its_answer(tester: WorkflowTester) -> None:
    handle = await tester.client(orders).trigger("order-1", Order())
    await handle.wait_for(At.AWAITING_PAYMENT)
    run = await tester.callback(paid, "order-1", Payment(receipt="r1"))
    assert (run.status, run.data.receipt) == (At.PAID, "r1")


async def test_a_callback_tells_where_the_run_stands(tester: WorkflowTester) -> None:
    client = tester.client(orders)
    await client.trigger("order-1", Order())
    with pytest.raises(CallbackTooEarly):
        await tester.callback(paid, "order-1", Payment(receipt="r1"))
    await tester.settle()
    await tester.callback(paid, "order-1", Payment(receipt="r1"))
    with pytest.raises(RunFinished):
        await tester.callback(paid, "order-1", Payment(receipt="r2"))


async def test_a_callback_of_another_workflow_is_refused(tester: WorkflowTester) -> None:
    async def other(run: OrderRun, message: Payment) -> Literal[At.PAID]:
        return At.PAID

    with pytest.raises(InvalidInput, match="is not a callback of the workflows"):
        await tester.callback(other, "order-1", Payment(receipt="r1"))


async def test_a_callback_that_needs_time_says_what_is_due(tester: WorkflowTester) -> None:
    handle = await tester.client(orders).trigger("order-1", Order())
    await handle.wait_for(At.AWAITING_PAYMENT)
    await handle.pause("a test")
    with pytest.raises(NothingLeft) as raised:
        await tester.callback(paid, "order-1", Payment(receipt="r1"), idempotency_key="k")
    text = str(raised.value)
    assert "the answer of callback paid of orders 'order-1' at AWAITING_PAYMENT, PAUSED" in text
    assert "timeout expire at 2030-01-03 00:00:00 (in 172800 s)" in text
    await handle.resume()
    run = await tester.callback(paid, "order-1", Payment(receipt="r1"), idempotency_key="k")
    assert run.status is At.PAID


async def test_an_unpaid_order_expires(tester: WorkflowTester) -> None:
    handle = await tester.client(orders).trigger("order-1", Order())
    await handle.wait_for(At.AWAITING_PAYMENT)
    await tester.advance(timedelta(hours=47))
    assert (await handle.get()).status is At.AWAITING_PAYMENT
    await tester.advance(timedelta(hours=2))
    run = await handle.wait_for(At.EXPIRED)
    assert run.updated_at == datetime(2030, 1, 3, tzinfo=UTC)


async def test_a_timeout_of_a_run_that_has_moved_on_is_not_due(tester: WorkflowTester) -> None:
    await tester.client(orders).trigger("order-1", Order())
    handle = await tester.client(orders).trigger("order-2", Order())
    await handle.wait_for(At.AWAITING_PAYMENT)
    assert len(tester.due()) == 2
    await tester.callback(paid, "order-1", Payment(receipt="r1"))
    (due,) = tester.due()
    assert "'order-2'" in due


async def test_an_event_that_is_fed_reaches_its_connector(tester: WorkflowTester) -> None:
    await tester.feed("carts", ("order-1", b'{"total": 7}'), ("order-2", b'{"total": 8}'))
    client = tester.client(orders)
    totals = [run.data.total async for run in client.runs(status=At.AWAITING_PAYMENT)]
    assert sorted(totals) == [7, 8]
    await tester.feed("payments", ("order-1", b'{"receipt": "r1"}'))
    assert (await client.latest("order-1")).status is At.PAID


async def test_an_event_whose_handler_fails_is_tried_again_when_it_is_due(
    tester: WorkflowTester,
) -> None:
    await tester.feed("payments", ("order-1", b'{"receipt": "r1"}'))
    assert any(
        "event payments/0 of orders-payments-connector, again" in due for due in tester.due()
    )
    await tester.feed("carts", ("order-1", b'{"total": 7}'))
    await tester.advance(timedelta(minutes=5))
    assert (await tester.client(orders).latest("order-1")).status is At.PAID


@pytest.mark.parametrize("events", [["text"], [5], [("key",)], [("key", "data")]])
async def test_only_events_can_be_fed(tester: WorkflowTester, events: Any) -> None:
    with pytest.raises(InvalidInput, match=r"events: .* is not an event"):
        await tester.feed("carts", *events)


async def test_an_unknown_connector_is_refused(tester: WorkflowTester) -> None:
    with pytest.raises(InvalidInput, match="'cart' is not the name of one connector; there are: c"):
        await tester.feed("cart", b"")


# --- children ----------------------------------------------------------------------------------


def families() -> Workflow[Order, At]:
    workflow = Workflow("families", Order, At, entry=(At.PAID, At.EXPIRED))

    @workflow.step(At.CREATED)
    async def invoice(run: OrderRun) -> Literal[At.AWAITING_PAYMENT]:
        for number in range(run.data.total):
            run.start(invoices, f"{run.foreign_id}-{number}", Invoice(total=number))
        return At.AWAITING_PAYMENT

    @workflow.children(At.AWAITING_PAYMENT, invoices)
    async def invoiced(run: OrderRun, children: Children[Invoice, Stage]) -> Literal[At.SHIPPED]:
        totals = [child.data.total async for child in children]
        run.data.receipt = f"{children.completed}: {sum(totals)}"
        return At.SHIPPED

    return workflow


async def test_children_run_too() -> None:
    workflow = families()
    async with WorkflowTester(workflow, invoices) as tester:
        handle = await tester.client(workflow).trigger("order-1", Order(total=3))
        run = await handle.wait()
        assert (run.status, run.data.receipt) == (At.SHIPPED, "3: 3")
        children = [child async for child in handle.children(invoices)]
        assert [child.run_state for child in children] == [RunState.COMPLETED] * 3


def test_the_workflows_of_children_are_handed_in_too() -> None:
    with pytest.raises(InvalidInput, match="families waits for children of invoices; hand in"):
        WorkflowTester(families())


# --- schedules ---------------------------------------------------------------------------------


def scheduled() -> Workflow[Order, At]:
    others = (At.CREATED, At.AWAITING_PAYMENT, At.PAID, At.EXPIRED)
    workflow = Workflow("scheduled", Order, At, start=At.SHIPPED, entry=others)

    @workflow.schedule("restock", cron="0 2 * * *", timezone="Europe/Berlin")
    def restock(tick: datetime) -> Order:
        return Order(total=tick.day)

    return workflow


async def test_ticks_happen_at_their_own_times() -> None:
    workflow = scheduled()
    async with WorkflowTester(workflow) as tester:
        assert tester.due() == [
            "a tick of schedule restock of scheduled at 2030-01-01 01:00:00 (in 3600 s)"
        ]
        await tester.advance(timedelta(days=3))
        runs = [run async for run in tester.client(workflow).runs()]
    assert [run.data.total for run in runs] == [1, 2, 3]
    assert [run.created_at for run in runs] == [
        datetime(2030, 1, day, 1, tzinfo=UTC) for day in (1, 2, 3)
    ]


# --- callbacks by the real roles ---------------------------------------------------------------


def refusing() -> Workflow[Order, At]:
    others = (At.CREATED, At.PAID, At.SHIPPED)
    workflow = Workflow("refusing", Order, At, start=At.AWAITING_PAYMENT, entry=others)

    @workflow.callback(At.AWAITING_PAYMENT)
    async def refused(run: OrderRun, message: Payment) -> Literal[At.EXPIRED]:
        if message.receipt == "fatal":
            raise Fatal("no such receipt")
        if run.data.total > 1 and message.receipt != "good":
            raise ValueError("not now")
        return At.EXPIRED

    return workflow


async def test_a_callback_that_fails_for_good_leaves_the_run_and_is_in_its_history() -> None:
    workflow = refusing()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("order-1", Order())
        with pytest.raises(CallbackFailed, match=r"AWAITING_PAYMENT.*no such receipt"):
            await handle.callback("refused", b'{"receipt": "fatal"}')
        assert [(each.version, each.callback) for each in await handle.history()] == [
            (1, None),
            (1, "refused"),
        ]
        assert (await handle.callback("refused", b'{"receipt": "r1"}')).status is At.EXPIRED


async def test_a_callback_that_fails_is_tried_again_when_it_is_due() -> None:
    workflow = refusing()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("order-1", Order(total=2))
        call = b'{"receipt": "bad"}'
        with pytest.raises(NothingLeft, match="AWAITING_PAYMENT, a message, again at"):
            await handle.callback("refused", call, idempotency_key="k")
        await tester.advance(timedelta(hours=1))
        with pytest.raises(CallbackFailed, match="not now"):
            await handle.callback("refused", call, idempotency_key="k")
        run = await handle.callback("refused", b'{"receipt": "good"}')
        assert run.status is At.EXPIRED


async def test_of_many_callbacks_at_once_one_wins_and_the_others_are_told() -> None:
    workflow = refusing()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("order-1", Order())
        calls = [handle.callback("refused", b'{"receipt": "%d"}' % n) for n in range(50)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        kinds = Counter(type(answer) for answer in answers)
        assert kinds == {Run: 1, CallbackTooLate: 49}
        assert (await handle.get()).version == 2


async def test_who_waits_with_one_key_gets_one_answer() -> None:
    workflow = refusing()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("order-1", Order())
        calls = [
            handle.callback("refused", b'{"receipt": "r1"}', idempotency_key="k") for _ in range(50)
        ]
        assert {run.version for run in await asyncio.gather(*calls)} == {2}
