"""The shop's program, as a user writes it, runs as written: tests/shop/shop.py."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kafka.others import others
from tests.servers import Kafka
from tests.shop import shop
from tests.shop.shop import Order, OrderStatus, Payment, invoices, orders, paid
from tests.shop.thanks import note_thanks
from workflow_ray import Cause, Client, Run, RunState, Runtime, connect
from workflow_ray.errors import RunNotFound

POLL = 0.02


async def test_an_order_is_paid_scored_invoiced_and_shipped_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await shop.develop()
    assert (tmp_path / "shop.db").exists()


def test_its_own_tests_pass() -> None:
    asyncio.run(shop.test_unpaid_order_expires())
    asyncio.run(shop.test_steps_alone())


async def test_a_web_service_triggers_an_order_and_deletes_its_data_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = f"sqlite:///{tmp_path}/shop.db"

    def connect_here(*workflows: Any, records: str, here: str = records) -> Any:
        assert records == "postgresql://shop@db/shop"
        return connect(*workflows, records=here)

    def soon(minutes: int) -> timedelta:
        return timedelta(seconds=minutes / 10)

    monkeypatch.setattr(shop, "connect", connect_here)
    monkeypatch.setattr(shop, "timedelta", soon)
    async with (
        Runtime.local(orders, invoices, records=records) as runtime,
        asyncio.timeout(50),
        asyncio.TaskGroup() as tasks,
    ):
        client = runtime.client(orders)
        tasks.create_task(shop.use_from_elsewhere())
        run = await pay(client, "order-43")
        while (run := await client.handle(run.run_id).get()).run_state is not RunState.DATA_DELETED:
            await asyncio.sleep(POLL)
        history = await client.handle(run.run_id).history()
    assert [entry.cause for entry in history[:3]] == [Cause.TRIGGER, Cause.PAUSE, Cause.RESUMED]
    assert [entry.cause for entry in history[-2:]] == [
        Cause.DELETION_REQUESTED,
        Cause.DATA_DELETED,
    ]


@pytest.mark.timeout(120)
async def test_each_cart_on_kafka_becomes_an_order_and_the_hook_is_called_at_its_end(
    postgres_url: str, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thanked = note_thanks(monkeypatch)
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
            while set(thanked) != set(totals):
                await asyncio.sleep(POLL)
            assert {run.foreign_id: run.data.total async for run in client.runs()} == totals


async def pay(client: Client[Order, OrderStatus], order: str) -> Run[Order, OrderStatus]:
    """Pay for an order as soon as it exists."""
    while True:
        try:
            return await client.callback(paid, order, Payment(receipt="r1"))
        except RunNotFound:
            await asyncio.sleep(POLL)
