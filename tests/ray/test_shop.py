"""The shop's program on a Ray cluster, as a user writes it: tests/shop/shop.py."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kafka.others import others
from tests.servers import Kafka
from tests.shop import shop
from tests.shop.shop import Order, OrderStatus, Payment, invoices, orders, paid
from workflow_ray import Runtime

CREATED = re.compile(r"orders-1-consumer-\d+-of-8")
"""The actors of its first step."""


class RuntimeHere:
    """Its runtime, with the servers of the test."""

    def __init__(self, records: str, events: str) -> None:
        self._records = records
        self._events = events

    def ray(self, *workflows: Any, records: str, events: str) -> Any:
        assert (records, events) == ("postgresql://shop@db/shop", "kafka://kafka:9092")
        return Runtime.ray(*workflows, records=self._records, events=self._events)


@pytest.mark.server
@pytest.mark.timeout(400)
async def test_it_is_scaled_and_runs_as_far_as_its_step_that_asks_for_a_gpu(
    ray_head: None, postgres_url: str, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Kafka(server_folder) as kafka:
        async with others(kafka.address) as checkout:
            await checkout.make("carts", partitions=1)
        events = f"{kafka.url}/shop"
        monkeypatch.setattr(shop, "Runtime", RuntimeHere(postgres_url, events))
        await shop.operate()
        async with Runtime.ray(orders, invoices, records=postgres_url, events=events) as runtime:
            running = [one.name for one in await runtime.status() if one.is_running]
            assert sum(bool(CREATED.fullmatch(name)) for name in running) == 8, running
            handle = await runtime.client(orders).trigger("order-42", Order(total=40))
            run = await handle.callback(paid, Payment(receipt="r1"), timeout=60)
            assert run.status is OrderStatus.PAID
            waiting = [one.why for one in await runtime.status() if one.is_unplaced]
            assert waiting == ["it waits for a node with num_gpus=1"]
            assert (await handle.get()).status is OrderStatus.PAID
            await runtime.down()
