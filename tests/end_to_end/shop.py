"""A shop's order workflow, as the program that a user writes."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from pydantic import BaseModel

from workflow_ray import (
    Cancel,
    Client,
    ConnectorEvent,
    Fatal,
    Pause,
    RayOptions,
    Retry,
    Run,
    Runtime,
    Status,
    Workflow,
    resource,
)
from workflow_ray_adapters.kafka import KafkaSource

# --- the definition -----------------------------------------------------------------------------


class OrderStatus(Status):  # the first member is the start, unless Workflow(..., start=...)
    CREATED = 1
    AWAITING_PAYMENT = 2
    PAID = 3
    SCORED = 4
    INVOICING = 5
    SHIPPED = 6
    EXPIRED = 7
    FAILED = 8


class Order(BaseModel):
    total: int
    receipt: str | None = None
    risk: float = 0.0


class Payment(BaseModel):
    receipt: str


OrderRun: TypeAlias = Run[Order, OrderStatus]
orders = Workflow("orders", Order, OrderStatus)


class InvoiceStatus(Status):
    DRAFT = 1
    SENT = 2


class Invoice(BaseModel):
    total: int


InvoiceRun: TypeAlias = Run[Invoice, InvoiceStatus]
invoices = Workflow("invoices", Invoice, InvoiceStatus)


thanked: list[str] = []  # the foreign ids of runs for which the hook was called


class Warehouse:
    async def reserve(self, order: str, *, idempotency_key: str) -> None: ...


class RiskModel:
    def predict(self, totals: list[int]) -> list[float]:
        return [min(total / 10_000, 1.0) for total in totals]


# A resource is opened once in each role that names it, before its first run, and closed after the
# last.
@resource
async def warehouse() -> AsyncIterator[Warehouse]:
    yield Warehouse()


@resource
async def risk_model() -> AsyncIterator[RiskModel]:
    yield RiskModel()


# The Literal in the return annotation is the list of allowed transitions: type checkers hold the
# function to it, and the definition reads its graph from it. Halts are values: what isn't returned
# doesn't happen, and what isn't annotated isn't allowed.
@orders.step(
    OrderStatus.CREATED,
    shards=4,
    retry=Retry(attempts=5, backoff=timedelta(seconds=1), factor=2.0),
    on_failure=OrderStatus.FAILED,
)
async def reserve_stock(
    run: OrderRun, stock: Warehouse = warehouse.value
) -> Literal[OrderStatus.AWAITING_PAYMENT] | Cancel | Pause:
    if run.data.total == 0:
        return Cancel("empty order")
    if run.data.total < 0:
        raise Fatal("a negative total is a bug")  # not retried
    if run.data.total > 1_000_000:
        return Pause("a person must look at this one")
    await stock.reserve(run.foreign_id, idempotency_key=run.idempotency_key)
    return OrderStatus.AWAITING_PAYMENT


@orders.callback(
    OrderStatus.AWAITING_PAYMENT, early=timedelta(hours=1)
)  # kept if it comes too soon
async def paid(run: OrderRun, message: Payment) -> Literal[OrderStatus.PAID]:
    run.data.receipt = message.receipt
    return OrderStatus.PAID


@orders.timeout(OrderStatus.AWAITING_PAYMENT, after=timedelta(hours=48))
async def expire(run: OrderRun) -> Literal[OrderStatus.EXPIRED]:
    return OrderStatus.EXPIRED


# Micro-batched, on actors that hold a GPU: many runs in, one result each, in order; an exception in
# the list fails its run alone. A plain function is a step too: it runs in a worker thread.
@orders.batch_step(
    OrderStatus.PAID,
    max_batch=64,
    max_wait=timedelta(milliseconds=20),
    ray=RayOptions(num_gpus=1),
)
def score(
    runs: list[OrderRun], model: RiskModel = risk_model.value
) -> list[Literal[OrderStatus.SCORED] | Exception]:
    risks = model.predict([run.data.total for run in runs])
    for run, risk in zip(runs, risks, strict=True):
        run.data.risk = risk
    return [OrderStatus.SCORED for _ in runs]


async def charge(total: int) -> str:
    return f"charge-{total}"


@orders.step(OrderStatus.SCORED)
async def invoice(run: OrderRun) -> Literal[OrderStatus.INVOICING]:
    # once: the result is stored under its name, so that a repeat of the step finds it instead of
    # charging again
    run.data.receipt = await run.once("charge", charge, run.data.total)
    run.start(
        invoices, f"invoice-{run.foreign_id}", Invoice(total=run.data.total)
    )  # a child, committed with the transition
    return OrderStatus.INVOICING


@orders.child(OrderStatus.INVOICING, invoices)  # called when the child ends
async def invoiced(
    run: OrderRun, child: InvoiceRun
) -> Literal[OrderStatus.SHIPPED, OrderStatus.FAILED]:
    return OrderStatus.SHIPPED if child.status is InvoiceStatus.SENT else OrderStatus.FAILED


@invoices.step(InvoiceStatus.DRAFT)
def send(run: InvoiceRun) -> Literal[InvoiceStatus.SENT]:
    return InvoiceStatus.SENT


@orders.connector("carts", KafkaSource(topic="carts"))
async def on_cart(client: Client[Order, OrderStatus], event: ConnectorEvent) -> None:
    await client.trigger(event.key, Order.model_validate_json(event.data), idempotency_key=event.id)


@orders.on_complete
async def thank(run: OrderRun) -> None:
    thanked.append(run.foreign_id)


@orders.schedule(
    "restock", cron="0 2 * * *", timezone="Europe/Berlin"
)  # foreign id: restock-<tick>
def restock(tick: datetime) -> Order:
    return Order(total=1)


# --- using it -----------------------------------------------------------------------------------


async def develop(records: str) -> Run[Order, OrderStatus]:
    """One process, no server: roles are asyncio tasks, the data is a SQLite file."""
    async with Runtime.local(orders, invoices, records=records) as runtime:
        client = runtime.client(orders)  # Client[Order, OrderStatus]
        handle = await client.trigger("order-42", Order(total=40))
        await handle.callback(paid, Payment(receipt="r1"))
        return await handle.wait_for(OrderStatus.SHIPPED, timeout=timedelta(seconds=5))
