"""The shop's program, as a user writes it, runs as written."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.adapters.kafka.others import others
from tests.end_to_end import shop
from tests.end_to_end.shop import (
    Invoice,
    InvoiceStatus,
    Order,
    OrderStatus,
    Payment,
    Warehouse,
    develop,
    invoices,
    orders,
    paid,
    reserve_stock,
    send,
    warehouse,
)
from tests.servers import Kafka
from workflow_ray import Cancel, Client, Run, Runtime
from workflow_ray.errors import RunNotFound
from workflow_ray.testing import WorkflowTester

POLL = 0.02


async def test_an_order_is_paid_scored_invoiced_and_shipped_in_one_process(tmp_path: Path) -> None:
    run = await develop(f"sqlite:///{tmp_path}/shop.db")
    assert run.data.receipt == "charge-40"


@pytest.mark.timeout(120)
async def test_each_cart_on_kafka_becomes_an_order_and_the_hook_is_called_at_its_end(
    postgres_url: str, server_folder: Path
) -> None:
    shop.thanked.clear()
    totals = {"order-1": 40, "order-2": 7}
    with Kafka(server_folder) as kafka:
        async with others(kafka.address) as checkout:
            await checkout.make("carts", partitions=1)
            for order, total in totals.items():
                cart = f'{{"total": {total}}}'.encode()
                await checkout.put("carts", 0, cart, key=order.encode())
        local = Runtime.local(orders, invoices, records=postgres_url, events=f"{kafka.url}/shop")
        async with local as runtime, asyncio.timeout(60):
            client = runtime.client(orders)
            for order, total in totals.items():
                run = await pay(client, order)
                run = await client.handle(run.run_id).wait_for(OrderStatus.SHIPPED)
                assert run.data.receipt == f"charge-{total}"
            while set(shop.thanked) != set(totals):
                await asyncio.sleep(POLL)
            assert {run.foreign_id: run.data.total async for run in client.runs()} == totals


async def pay(client: Client[Order, OrderStatus], order: str) -> Run[Order, OrderStatus]:
    """Pay for an order as soon as it exists."""
    while True:
        try:
            return await client.callback(paid, order, Payment(receipt="r1"))
        except RunNotFound:
            await asyncio.sleep(POLL)


async def test_unpaid_order_expires() -> None:
    async with WorkflowTester(orders, invoices, resources={warehouse: Warehouse()}) as tester:
        handle = await tester.client(orders).trigger("order-42", Order(total=40))
        await handle.wait_for(OrderStatus.AWAITING_PAYMENT)
        await tester.advance(timedelta(hours=49))
        run = await handle.wait_for(OrderStatus.EXPIRED)
    assert run.data.receipt is None


async def test_steps_alone() -> None:
    assert await reserve_stock(Run(Order(total=0), OrderStatus.CREATED), Warehouse()) == Cancel(
        "empty order"
    )
    assert send(Run(Invoice(total=1), InvoiceStatus.DRAFT)) is InvoiceStatus.SENT
