"""The orders of a shop, as a user writes them. Type checkers accept this file; it also runs."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import wraps
from typing import Literal, ParamSpec, TypeAlias, TypeVar

from pydantic import BaseModel

from workflow_ray import (
    Cancel,
    Client,
    Fatal,
    Handle,
    Pause,
    Repeat,
    Retry,
    Run,
    RunState,
    Runtime,
    Status,
    Stay,
    Trigger,
    TriggerOutcome,
    Workflow,
    connect,
    resource,
)
from workflow_ray.testing import WorkflowTester

P = ParamSpec("P")
R = TypeVar("R")


class OrderStatus(Status):
    CREATED = 1
    AWAITING_PAYMENT = 2
    PAID = 3
    SHIPPED = 4
    FAILED = 5
    RETURNED = 6


class Order(BaseModel):
    total: int
    receipt: str | None = None


OrderRun: TypeAlias = Run[Order, OrderStatus]
orders = Workflow(
    "orders",
    Order,
    OrderStatus,
    start=OrderStatus.CREATED,
    entry=OrderStatus.RETURNED,
    partitions=8,
)


class InvoiceStatus(Status):
    DRAFT = 1
    SENT = 2


class Invoice(BaseModel):
    total: int


InvoiceRun: TypeAlias = Run[Invoice, InvoiceStatus]
invoices = Workflow("invoices", Invoice, InvoiceStatus)


class Warehouse:
    async def reserve(self, order: str, *, idempotency_key: str) -> None: ...


class RiskModel:
    def predict(self, total: int) -> float:
        return min(total / 10_000, 1.0)


@resource
async def warehouse() -> AsyncIterator[Warehouse]:
    yield Warehouse()


@resource
async def risk_model() -> AsyncIterator[RiskModel]:
    yield RiskModel()


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
        raise Fatal("a negative total is a bug")
    if run.data.total > 1_000_000:
        return Pause("a person must look at this one")
    await stock.reserve(run.foreign_id, idempotency_key=run.idempotency_key)
    return OrderStatus.AWAITING_PAYMENT


Paid: TypeAlias = Literal[OrderStatus.PAID] | Repeat | Stay


def traced(function: Callable[P, R]) -> Callable[P, R]:
    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return wrapper


@orders.step(OrderStatus.AWAITING_PAYMENT)
@traced
async def await_payment(run: OrderRun) -> Paid:
    return OrderStatus.PAID if run.data.receipt else Repeat(after=timedelta(minutes=1))


@orders.step(OrderStatus.PAID, max_in_flight=8, timeout=30)
def ship(
    run: OrderRun, *, model: RiskModel = risk_model.value
) -> Literal[OrderStatus.SHIPPED, OrderStatus.FAILED]:
    return OrderStatus.FAILED if model.predict(run.data.total) > 0.9 else OrderStatus.SHIPPED


@invoices.step(InvoiceStatus.DRAFT)
def send(run: InvoiceRun) -> Literal[InvoiceStatus.SENT]:
    run.data = Invoice(total=run.data.total)
    return InvoiceStatus.SENT


async def develop(records: str) -> Run[Order, OrderStatus]:
    """One process, no server."""
    async with Runtime.local(orders, invoices, records=records) as runtime:
        client: Client[Order, OrderStatus] = runtime.client(orders)
        handle = await client.trigger("order-42", Order(total=40, receipt="r1"))
        run = await handle.wait_for(OrderStatus.SHIPPED, timeout=timedelta(seconds=20))
        shards: int = await runtime.scale(orders, OrderStatus.CREATED, shards=8)
        assert shards == 8
        await use_from_elsewhere(records)
    return run


async def use_from_elsewhere(records: str) -> None:
    """A web service is only a client."""
    async with connect(orders, records=records, patience=5) as client:
        handle: Handle[Order, OrderStatus] = await client.trigger(
            "order-43", Order(total=7), if_active="join"
        )
        paused: Run[Order, OrderStatus] = await handle.pause("held by support")
        async for run in client.runs(run_state=RunState.PAUSED, status=list(OrderStatus)):
            print(run.run_id, run.status, run.reason, paused.version)
        for entry in await handle.history():
            before: Order | None = entry.data
            print(entry.version, entry.status, entry.cause, entry.at, before)
        await handle.resume()
        await handle.cancel("a test", by="support")
        fork: Handle[Order, OrderStatus] = await handle.fork(1, foreign_id="order-43b")
        moved: Run[Order, OrderStatus] = await fork.move(
            OrderStatus.AWAITING_PAYMENT, "reserved by hand"
        )
        await fork.cancel("a test", cascade=True)
        print(moved.status)
        ended = await handle.wait(timeout=5)
        assert ended.run_state is RunState.CANCELLED
        started = await client.trigger_many(
            [Trigger("order-44", Order(total=1), start_at=OrderStatus.RETURNED)]
        )
        outcomes: list[TriggerOutcome] = [outcome for _, outcome in started]
        counts: dict[tuple[OrderStatus | int, RunState], int] = await client.counts()
        print(outcomes, counts)


async def unpaid_orders_wait() -> Run[Order, OrderStatus]:
    """In a test time stands still."""
    async with WorkflowTester(orders, invoices, resources={warehouse: Warehouse()}) as tester:
        handle = await tester.client(orders).trigger("order-42", Order(total=40))
        await handle.wait_for(OrderStatus.AWAITING_PAYMENT)
        await tester.advance(timedelta(hours=49))
        return await handle.get()


async def use(client: Client[Order, OrderStatus]) -> str | None:
    handle = await client.trigger("order-42", Order(total=40))
    run = await handle.wait_for(OrderStatus.SHIPPED, timeout=timedelta(seconds=5))
    number: int = run.status.value
    return run.data.receipt or str(number)


async def keep_their_types() -> None:
    """A step keeps the type of its function: the parameters, and the precise result."""
    reserved: Literal[OrderStatus.AWAITING_PAYMENT] | Cancel | Pause
    reserved = await reserve_stock(Run(Order(total=0), OrderStatus.CREATED), stock=Warehouse())
    shipped: Literal[OrderStatus.SHIPPED, OrderStatus.FAILED] = ship(
        Run(Order(total=1), OrderStatus.PAID), model=RiskModel()
    )
    sent: Literal[InvoiceStatus.SENT] = send(Run(Invoice(total=1), InvoiceStatus.DRAFT))
    print(reserved, shipped, sent)
