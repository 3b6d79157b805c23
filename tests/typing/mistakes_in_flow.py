"""Mistakes in flow control that a type checker must reject, each line marked."""

from typing import Literal

from tests.typing.flow import Order, OrderRun, OrderStatus, orders
from workflow_ray import Client, FlowControl, Rate

Rate("10", per=1)  # mistake
Rate(10)  # mistake
FLOW: FlowControl[Order, OrderStatus] = FlowControl(concurrency="5")  # mistake


@orders.step(OrderStatus.PAID, flow=5)  # mistake
async def wrong_flow(run: OrderRun) -> Literal[OrderStatus.SHIPPED]:
    return OrderStatus.SHIPPED


@orders.step(
    OrderStatus.PAID,
    flow=FlowControl(
        concurrency_per_key=1,
        key=lambda run: run.data.customer,  # mistake: an order has no such field
    ),
)
async def wrong_key(run: OrderRun) -> Literal[OrderStatus.SHIPPED]:
    return OrderStatus.SHIPPED


@orders.step(OrderStatus.PAID, flow=FlowControl(priority=lambda run: run.data.tenant))  # mistake
async def wrong_priority(run: OrderRun) -> Literal[OrderStatus.SHIPPED]:
    return OrderStatus.SHIPPED


async def wrong_limits(client: Client[Order, OrderStatus]) -> None:
    await client.set_limits("PAID", concurrency=1)  # mistake
    await client.set_limits(OrderStatus.PAID, concurrency="none")  # mistake
    await client.set_limits(OrderStatus.PAID, rate=10)  # mistake
    await client.trigger("1", Order(), if_active="restart")  # mistake
    await client.trigger("1", Order(), delay="5s")  # mistake
