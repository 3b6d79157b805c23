"""What the runs of a shop wait for, as a user declares it. Type checkers accept this file."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, TypeAlias, TypeVar

from pydantic import BaseModel

from workflow_ray import (
    Cancel,
    Children,
    Client,
    ConnectorEvent,
    FunctionCall,
    Handle,
    Middleware,
    Pause,
    Proceed,
    RayOptions,
    Retention,
    Retry,
    Run,
    RunState,
    Status,
    Stay,
    Workflow,
    resource,
)
from workflow_ray.ports import Clock, SourceReader
from workflow_ray.testing import WorkflowTester

M = TypeVar("M")
P = ParamSpec("P")
R = TypeVar("R")


class OrderStatus(Status):
    CREATED = 1
    AWAITING_PAYMENT = 2
    PAID = 3
    INVOICING = 4
    SHIPPED = 5
    EXPIRED = 6
    FAILED = 7


class Order(BaseModel):
    total: int
    receipt: str | None = None


class Payment(BaseModel):
    receipt: str


OrderRun: TypeAlias = Run[Order, OrderStatus]


async def timing(call: FunctionCall, proceed: Proceed) -> object:
    began = datetime.now(UTC)
    try:
        return await proceed()
    finally:
        run_id: str = "" if call.run is None else call.run.run_id
        print(call.workflow, call.kind, call.function, call.attempt, run_id, began, call.tick)


class Tracing:
    """Middleware with a configuration."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def __call__(self, call: FunctionCall, proceed: Proceed) -> object:
        return await proceed()


tracing: Middleware = Tracing("http://localhost:4318")
orders = Workflow("orders", Order, OrderStatus, middleware=[timing, tracing, Tracing("").__call__])


class InvoiceStatus(Status):
    DRAFT = 1
    SENT = 2


class Invoice(BaseModel):
    total: int


InvoiceRun: TypeAlias = Run[Invoice, InvoiceStatus]
invoices = Workflow("invoices", Invoice, InvoiceStatus)


class Warehouse: ...


class Carts:
    """A source, as a user writes one."""

    def open(self, *, clock: Clock, events: str) -> AbstractAsyncContextManager[SourceReader]:
        raise NotImplementedError  # a definition opens no source


@resource
async def warehouse() -> AsyncIterator[Warehouse]:
    yield Warehouse()


def traced(function: Callable[P, R]) -> Callable[P, R]:
    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return wrapper


@orders.step(OrderStatus.CREATED)
async def reserve(run: OrderRun) -> Literal[OrderStatus.AWAITING_PAYMENT]:
    return OrderStatus.AWAITING_PAYMENT


@orders.callback(OrderStatus.AWAITING_PAYMENT, early=timedelta(hours=1))
async def paid(run: OrderRun, message: Payment) -> Literal[OrderStatus.PAID]:
    run.data.receipt = message.receipt
    return OrderStatus.PAID


@orders.callback(
    OrderStatus.CREATED, OrderStatus.AWAITING_PAYMENT, retry=Retry(attempts=1), timeout=5
)
def noted(
    run: OrderRun, text: str, *, stock: Warehouse = warehouse.value
) -> Stay | Cancel | Literal[OrderStatus.FAILED]:
    return Stay() if text else Cancel("an empty note")


@orders.timeout(
    OrderStatus.AWAITING_PAYMENT, after=timedelta(hours=48), on_failure=OrderStatus.FAILED
)
async def expire(run: OrderRun) -> Literal[OrderStatus.EXPIRED]:
    return OrderStatus.EXPIRED


@orders.timeout(OrderStatus.AWAITING_PAYMENT, at=lambda run: run.created_at + timedelta(days=1))
@traced
def remind(run: OrderRun, stock: Warehouse = warehouse.value) -> Stay | Pause:
    return Stay()


async def charge(total: int, *, currency: str = "EUR") -> str:
    return f"{currency}-{total}"


def count(total: int) -> int:
    return total


@orders.step(OrderStatus.PAID)
async def invoice(run: OrderRun) -> Literal[OrderStatus.INVOICING]:
    receipt: str = await run.once("charge", charge, run.data.total, currency="USD")
    counted: int = await run.once("count", count, run.data.total)
    run.data.receipt = f"{receipt}-{counted}"
    run.start(invoices, f"invoice-{run.foreign_id}", Invoice(total=run.data.total))
    run.start(
        invoices,
        f"copy-{run.foreign_id}",
        Invoice(total=0),
        start_at=InvoiceStatus.DRAFT,
        if_active="join",
        cascade=True,
    )
    return OrderStatus.INVOICING


@orders.child(OrderStatus.INVOICING, invoices)
async def invoiced(
    run: OrderRun, child: InvoiceRun, stock: Warehouse = warehouse.value
) -> Literal[OrderStatus.FAILED] | Stay:
    sent = child.status is InvoiceStatus.SENT
    return Stay() if sent and child.data.total else OrderStatus.FAILED


@orders.children(OrderStatus.INVOICING, invoices, on_failure=OrderStatus.FAILED)
async def all_invoiced(
    run: OrderRun, children: Children[Invoice, InvoiceStatus]
) -> Literal[OrderStatus.SHIPPED, OrderStatus.FAILED]:
    async for child in children:
        run.data.total -= child.data.total
    failed: int = children.started - children.completed
    return OrderStatus.FAILED if failed else OrderStatus.SHIPPED


@invoices.step(InvoiceStatus.DRAFT)
def send(run: InvoiceRun) -> Literal[InvoiceStatus.SENT]:
    return InvoiceStatus.SENT


@orders.connector(
    "carts",
    Carts(),
    shards=2,
    retry=Retry(attempts=5),
    ordered=True,
    ray=RayOptions(memory=2**30),
)
async def on_cart(client: Client[Order, OrderStatus], event: ConnectorEvent) -> None:
    await client.trigger(event.key, Order.model_validate_json(event.data), idempotency_key=event.id)


@orders.schedule("restock", cron="0 2 * * *", timezone="Europe/Berlin")
def restock(tick: datetime) -> Order:
    return Order(total=tick.day)


@orders.schedule("sweep", every=timedelta(minutes=5), overlap="queue", catch_up=60, jitter=5.0)
async def sweep(tick: datetime) -> Order:
    return Order(total=tick.minute)


@orders.schedule("mondays", cron="0 2 * * *")
async def on_mondays(tick: datetime) -> Order | None:
    return None if tick.weekday() else Order(total=1)


@orders.schedule("sundays", cron="0 3 * * *")
def on_sundays(tick: datetime) -> Order | None:
    return Order(total=1) if tick.weekday() == 6 else None


@orders.on_complete
async def thank(run: OrderRun) -> None: ...


@orders.on_pause
@orders.on_cancel(retry=Retry(attempts=9))
def tell(run: OrderRun, stock: Warehouse = warehouse.value) -> None: ...


@orders.scrub
async def forget(run: OrderRun, stock: Warehouse = warehouse.value) -> Order:
    run.labels["stage"] = "deleted"
    return Order(total=run.data.total)


def forget_at_once(run: OrderRun) -> Order:
    return Order(total=0)


plain_scrubber: Callable[[OrderRun], Order] = Workflow(
    "others", Order, OrderStatus, retention=Retention(completed=timedelta(days=30), keys=86_400)
).scrub(retry=Retry(attempts=9))(forget_at_once)


def message_of(
    function: Callable[
        Concatenate[OrderRun, M, ...], OrderStatus | Awaitable[OrderStatus] | Stay | Cancel
    ],
    message: M,
) -> M:
    """What a client infers of a callback."""
    return message


async def keep_their_types() -> None:
    """Each function keeps its type: the parameters, and the precise result."""
    run = Run(Order(total=1), OrderStatus.AWAITING_PAYMENT)
    went: Literal[OrderStatus.PAID] = await paid(run, Payment(receipt="r"))
    stayed: Stay | Cancel | Literal[OrderStatus.FAILED] = noted(run, "a", stock=Warehouse())
    expired: Coroutine[Any, Any, Literal[OrderStatus.EXPIRED]] = expire(run)
    child = Run(Invoice(total=1), InvoiceStatus.SENT, run_state=RunState.COMPLETED)
    one: Literal[OrderStatus.FAILED] | Stay = await invoiced(run, child, Warehouse())
    every: Literal[OrderStatus.SHIPPED, OrderStatus.FAILED]
    every = await all_invoiced(run, Children([child]))
    order: Order = restock(run.created_at)
    swept: Order = await sweep(run.created_at)
    await thank(run)
    tell(run, stock=Warehouse())
    message: Payment = message_of(paid, Payment(receipt="r"))
    text: str = message_of(noted, "text")
    print(went, stayed, await expired, one, every, order, swept, message, text)


async def use_clients(
    client: Client[Order, OrderStatus], handle: Handle[Order, OrderStatus], tester: WorkflowTester
) -> None:
    """Clients take a callback with its message, and give runs of the right types."""
    runs: list[OrderRun] = [
        await handle.callback(paid, Payment(receipt="r"), timeout=timedelta(seconds=5)),
        await handle.callback(noted, "text", idempotency_key="k"),
        await handle.callback("paid", b"{}"),
        await handle.callback(paid, b"{}"),
        await client.callback(paid, "order-1", Payment(receipt="r")),
        await client.callback("paid", "order-1", b"{}", timeout=5),
        await tester.callback(paid, "order-1", Payment(receipt="r")),
        *[run async for run in client.runs(parent=handle, child="another run's id")],
    ]
    children: list[InvoiceRun] = [child async for child in handle.children(invoices)]
    untyped: list[Run[Any, Any]] = [child async for child in handle.children()]
    parents: list[InvoiceRun] = [parent async for parent in handle.parents(invoices)]
    await tester.feed("carts", b"{}", ("key", b"{}"))
    print(runs, children, untyped, parents)
