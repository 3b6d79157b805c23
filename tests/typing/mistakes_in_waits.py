"""Mistakes in what runs wait for that a type checker must reject, each line marked; the rest of the
file is correct.
"""

from datetime import datetime
from typing import Any, Literal

from tests.typing.waits import (
    Carts,
    Invoice,
    InvoiceRun,
    InvoiceStatus,
    Order,
    OrderRun,
    OrderStatus,
    Payment,
    Warehouse,
    charge,
    invoices,
    message_of,
    orders,
    paid,
    warehouse,
)
from workflow_ray import (
    Cause,
    Children,
    Client,
    ConnectorEvent,
    FunctionCall,
    Handle,
    Proceed,
    Repeat,
    Run,
    Stay,
    Workflow,
)
from workflow_ray.testing import WorkflowTester, WorkflowTesterFactory, assert_history


@orders.callback(InvoiceStatus.DRAFT)  # mistake: another workflow's status
async def elsewhere(run: OrderRun, message: Payment) -> Literal[OrderStatus.PAID]:
    return OrderStatus.PAID


@orders.callback(OrderStatus.PAID)  # mistake: a callback does not repeat
async def repeats(run: OrderRun, message: Payment) -> Repeat:
    return Repeat()


@orders.callback(OrderStatus.PAID)  # mistake: without a message
async def without_message(run: OrderRun) -> Stay:
    return Stay()


@orders.callback(OrderStatus.PAID)  # mistake: another workflow's run
async def another_run(run: InvoiceRun, message: Payment) -> Stay:
    return Stay()


@orders.callback(OrderStatus.PAID, early="1h")  # mistake
async def wrong_early(run: OrderRun, message: Payment) -> Stay:
    return Stay()


@orders.callback(OrderStatus.PAID)
async def undeclared(run: OrderRun, message: Payment) -> Literal[OrderStatus.SHIPPED]:
    return OrderStatus.PAID  # mistake


@orders.callback(OrderStatus.PAID)
async def wrong_resource(
    run: OrderRun,
    message: Payment,
    stock: str = warehouse.value,  # mistake
) -> Stay:
    return Stay()


@orders.timeout(OrderStatus.PAID, after="1h")  # mistake
async def wrong_after(run: OrderRun) -> Stay:
    return Stay()


@orders.timeout(OrderStatus.PAID, at=lambda run: 5)  # mistake
async def wrong_at(run: OrderRun) -> Stay:
    return Stay()


@orders.timeout(OrderStatus.PAID, after=5)  # mistake: to another workflow's status
async def to_elsewhere(run: OrderRun) -> Literal[InvoiceStatus.SENT]:
    return InvoiceStatus.SENT


@orders.child(OrderStatus.PAID, invoices)  # mistake: the child is of another workflow
async def wrong_child(run: OrderRun, child: OrderRun) -> Stay:
    return Stay()


@orders.child(OrderStatus.PAID, "invoices")  # mistake
async def by_name(run: OrderRun, child: Any) -> Stay:
    return Stay()


@orders.children(OrderStatus.PAID, invoices)  # mistake
async def wrong_children(run: OrderRun, children: Children[Order, OrderStatus]) -> Stay:
    return Stay()


@orders.connector("wrong", Carts())  # mistake: a client of another workflow
async def wrong_client(client: Client[Invoice, InvoiceStatus], event: ConnectorEvent) -> None: ...


@orders.connector("lost", Carts())  # mistake: nobody would use the result
async def with_result(client: Client[Order, OrderStatus], event: ConnectorEvent) -> int:
    return 5


orders.connector("none", "carts")  # mistake: not a source


@orders.schedule("wrong", every=5)  # mistake: another workflow's data
def wrong_data(tick: datetime) -> Invoice:
    return Invoice(total=1)


@orders.schedule("wrong_too", every=5)  # mistake
async def wrong_data_too(tick: datetime) -> Invoice:
    return Invoice(total=1)


@orders.schedule("overlap", every=5, overlap="wait")  # mistake
def wrong_overlap(tick: datetime) -> Order:
    return Order(total=1)


@orders.on_complete  # mistake
async def wrong_hook(run: InvoiceRun) -> None: ...


@orders.on_pause()  # mistake
async def hook_with_result(run: OrderRun) -> int:
    return 5


@orders.scrub  # mistake
async def wrong_scrubber(run: InvoiceRun) -> Order:
    return Order(total=1)


@orders.scrub()  # mistake
def scrubber_without_data(run: OrderRun) -> None: ...


async def without_proceed(call: FunctionCall) -> object:
    return None


async def of_numbers(call: int, proceed: Proceed) -> object:
    return await proceed()


def plain(call: FunctionCall, proceed: Proceed) -> object:
    return None


async def guessing(call: FunctionCall, proceed: Proceed) -> object:
    status: OrderStatus = await proceed()  # mistake: the function may return anything
    foreign_id: str = call.run.foreign_id  # mistake: connectors and schedules have no run
    await proceed(call)  # mistake
    return status, foreign_id


Workflow("orders", Order, OrderStatus, middleware=[without_proceed])  # mistake
Workflow("orders", Order, OrderStatus, middleware=[of_numbers])  # mistake
Workflow("orders", Order, OrderStatus, middleware=[plain])  # mistake: not async
Workflow("orders", Order, OrderStatus, middleware=guessing)  # mistake: not a list


async def use(run: OrderRun) -> None:
    await run.once("charge", charge, "40")  # mistake
    await run.once("charge", charge, 40, curency="EUR")  # mistake
    number: int = await run.once("charge", charge, 40)  # mistake
    run.start(invoices, "1", Order(total=number))  # mistake
    run.start(invoices, "1", Invoice(total=1), start_at=OrderStatus.PAID)  # mistake
    run.start(invoices, "1", Invoice(total=1), if_active="raise")  # mistake
    await paid(run, Order(total=1))  # mistake
    await paid(Run(Invoice(total=1), InvoiceStatus.DRAFT), Payment(receipt="r"))  # mistake
    message_of(paid, Order(total=1))  # mistake
    Children([Warehouse()])  # mistake


async def use_clients(
    client: Client[Order, OrderStatus],
    handle: Handle[Order, OrderStatus],
    invoice: Handle[Invoice, InvoiceStatus],
    tester: WorkflowTester,
) -> None:
    await handle.callback(paid, Order(total=1))  # mistake
    await handle.callback(paid, "r")  # mistake
    await handle.callback("paid", Payment(receipt="r"))  # mistake: bytes go with a name
    await invoice.callback(paid, Payment(receipt="r"))  # mistake: another workflow's callback
    await client.callback(paid, Payment(receipt="r"))  # mistake: without a foreign id
    await client.callback(paid, "1", Order(total=1))  # mistake
    await tester.callback(paid, "1", Order(total=1))  # mistake
    wrong: list[OrderRun] = [run async for run in handle.children(invoices)]  # mistake
    handle.parents("orders")  # mistake
    await tester.feed("carts", "text")  # mistake
    tester.crash_at(3, "beside")  # mistake
    make: WorkflowTesterFactory = WorkflowTester
    make(orders, resources=5)  # mistake
    await assert_history(handle, [OrderStatus.PAID, OrderStatus.SHIPPED])
    await assert_history(handle, [(OrderStatus.PAID, Cause.STEP)])
    await assert_history(handle, [InvoiceStatus.DRAFT])  # mistake
    await assert_history(handle, ["PAID"])  # mistake
    print(wrong)
