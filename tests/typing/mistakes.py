"""Mistakes that a type checker must reject, each line marked; the rest of the file is correct."""

# ruff: noqa: RET503  a missing branch is one of them

from typing import Literal

from tests.typing.shop import (
    Invoice,
    InvoiceRun,
    InvoiceStatus,
    Order,
    OrderRun,
    OrderStatus,
    RiskModel,
    invoices,
    orders,
    reserve_stock,
    risk_model,
    traced,
    warehouse,
)
from workflow_ray import (
    Cancel,
    Client,
    Pause,
    Repeat,
    Retry,
    Run,
    Runtime,
    Status,
    Trigger,
    Workflow,
    connect,
)
from workflow_ray.runtime.local import LocalRuntime
from workflow_ray.testing import WorkflowTester


class Other(Status):
    X = 1


Workflow("orders", Order, Order)  # mistake
Workflow("orders", str, OrderStatus)  # mistake
Retry(backoff="1s")  # mistake
Retry(attempts=1.5)  # mistake
Cancel(ValueError("a reason is text"))  # mistake
Run(Order(total=1), "CREATED")  # mistake
Runtime.local([orders])  # mistake
WorkflowTester(Order)  # mistake


@orders.step  # mistake: without the status
async def bare(run: OrderRun) -> Literal[OrderStatus.PAID]:
    return OrderStatus.PAID


@orders.step(OrderStatus.SHIPPED, retry=3)  # mistake
async def wrong_retry(run: OrderRun) -> Literal[OrderStatus.PAID]:
    return OrderStatus.PAID


@orders.step(OrderStatus.SHIPPED)  # mistake: the decorator does not change what is wrong
@traced
async def traced_and_foreign(run: OrderRun) -> Literal[Other.X]:
    return Other.X


@orders.step(OrderStatus.SHIPPED)
async def undeclared(run: OrderRun) -> Literal[OrderStatus.FAILED]:
    return OrderStatus.PAID  # mistake


@orders.step(OrderStatus.SHIPPED)
async def undeclared_halt(run: OrderRun) -> Literal[OrderStatus.PAID] | Cancel:
    return Pause("x")  # mistake


@orders.step(OrderStatus.SHIPPED)  # mistake: another workflow's status
async def foreign(run: OrderRun) -> Literal[Other.X]:
    return Other.X


@orders.step(OrderStatus.SHIPPED)  # mistake
def foreign_from_a_plain_function(run: OrderRun) -> Literal[Other.X, OrderStatus.PAID]:
    return Other.X


@orders.step(OrderStatus.SHIPPED)  # mistake: another workflow's run
async def foreign_run(run: InvoiceRun) -> Literal[OrderStatus.PAID]:
    return OrderStatus.PAID


@orders.step(OrderStatus.SHIPPED)  # mistake: takes no run
async def no_run() -> Literal[OrderStatus.PAID]:
    return OrderStatus.PAID


@orders.step(OrderStatus.SHIPPED)  # mistake: None is not a result
async def optional(run: OrderRun) -> Literal[OrderStatus.PAID] | None:
    return None


@orders.step(OrderStatus.SHIPPED)  # mistake
async def no_result(run: OrderRun) -> None:
    pass


@orders.step(Other.X)  # mistake
async def wrong_from(run: OrderRun) -> Literal[OrderStatus.PAID]:
    return OrderStatus.PAID


@orders.step(OrderStatus.SHIPPED, shard=3)  # mistake: a misspelt option
async def typo(run: OrderRun) -> Literal[OrderStatus.PAID]:
    return OrderStatus.PAID


@orders.step(OrderStatus.SHIPPED, on_failure=Other.X)  # mistake
async def wrong_on_failure(run: OrderRun) -> Literal[OrderStatus.PAID]:
    return OrderStatus.PAID


@orders.step(OrderStatus.SHIPPED)
async def missing_branch(run: OrderRun) -> Literal[OrderStatus.PAID]:  # mistake
    if run.data.total:
        return OrderStatus.PAID


@orders.step(OrderStatus.SHIPPED)
async def wrong_resource(
    run: OrderRun,
    model: str = risk_model.value,  # mistake
) -> Literal[OrderStatus.PAID]:
    return OrderStatus.PAID


@orders.step(OrderStatus.SHIPPED)
async def changes(run: OrderRun) -> Literal[OrderStatus.PAID] | Repeat:
    run.status = OrderStatus.PAID  # mistake: the status is what the step returns
    run.data = Invoice(total=1)  # mistake
    return Repeat(after="5s")  # mistake


async def use(client: Client[Order, OrderStatus]) -> None:
    await client.trigger("1", Invoice(total=1))  # mistake
    await client.trigger("1", Order(total=1), start_at=InvoiceStatus.DRAFT)  # mistake
    handle = await client.trigger("1", Order(total=1))
    await handle.wait_for(Other.X)  # mistake
    await handle.wait_for("SHIPPED")  # mistake
    await handle.wait(timeout="5s")  # mistake
    await handle.pause()  # mistake: without a reason
    await handle.cancel(5)  # mistake
    await handle.cancel("x", cascade="all")  # mistake
    await handle.move(Other.X, "x")  # mistake
    await handle.move(OrderStatus.PAID)  # mistake: without a reason
    await handle.fork("1")  # mistake
    (await handle.get()).cancelled.wait(5)  # mistake: it takes nothing
    client.runs(status=InvoiceStatus.DRAFT)  # mistake
    client.runs(run_state="PAUSED")  # mistake
    await client.trigger("1", Order(total=1), if_active="wait")  # mistake
    await client.trigger_many([Trigger("1", Invoice(total=1))])  # mistake
    (await handle.get()).data.weight  # noqa: B018  # mistake
    await reserve_stock(Run(Order(total=1), OrderStatus.CREATED), RiskModel())  # mistake
    await reserve_stock(Run(Invoice(total=1), InvoiceStatus.DRAFT))  # mistake
    warehouse()  # mistake: a role opens it


async def operate(runtime: LocalRuntime) -> None:
    await runtime.scale(orders, InvoiceStatus.DRAFT, shards=2)  # mistake
    await runtime.scale(orders, OrderStatus.CREATED, shards="2")  # mistake
    client: Client[Invoice, InvoiceStatus] = runtime.client(orders)  # mistake
    print(client)
    async with connect(invoices) as invoicing:
        await invoicing.trigger("1", Order(total=1))  # mistake
