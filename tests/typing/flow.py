"""Flow control, as a user writes it. Type checkers accept this file."""

from datetime import timedelta
from typing import Literal, TypeAlias

from pydantic import BaseModel

from workflow_ray import Client, FlowControl, Rate, Run, Status, StatusLimits, Workflow, sync


class OrderStatus(Status):
    PAID = 1
    SCORED = 2
    SHIPPED = 3


class Order(BaseModel):
    tenant: str = ""
    urgency: int = 0


OrderRun: TypeAlias = Run[Order, OrderStatus]
orders = Workflow("orders", Order, OrderStatus)


@orders.step(
    OrderStatus.PAID,
    flow=FlowControl(
        concurrency=50,
        concurrency_per_key=5,
        rate=Rate(100, per=60),
        rate_per_key=Rate(10, per=timedelta(minutes=1)),
        key=lambda run: run.data.tenant,
        priority=lambda run: run.data.urgency,
    ),
)
async def score(run: OrderRun) -> Literal[OrderStatus.SCORED]:
    return OrderStatus.SCORED


def tenant_of(run: OrderRun) -> str:
    return run.data.tenant


BY_TENANT: FlowControl[Order, OrderStatus] = FlowControl(concurrency_per_key=1, key=tenant_of)


@orders.batch_step(OrderStatus.SCORED, flow=BY_TENANT)
async def ship(runs: list[OrderRun]) -> list[Literal[OrderStatus.SHIPPED] | Exception]:
    return [OrderStatus.SHIPPED for _ in runs]


async def limit(client: Client[Order, OrderStatus]) -> list[StatusLimits]:
    await client.set_limits(OrderStatus.PAID, concurrency=10, rate="unlimited")
    await client.set_limits(OrderStatus.PAID, rate_per_key=Rate(5, per=1))
    await client.reset_limits(OrderStatus.PAID)
    return await client.limits()


def limit_blocking(client: sync.Client[Order, OrderStatus]) -> list[StatusLimits]:
    client.set_limits(OrderStatus.PAID, concurrency="unlimited")
    client.reset_limits(OrderStatus.PAID)
    return client.limits()


async def search(client: Client[Order, OrderStatus]) -> str:
    handle = await client.trigger(
        "42", Order(), delay=timedelta(seconds=5), if_active="replace", start_at=OrderStatus.PAID
    )
    return handle.run_id
