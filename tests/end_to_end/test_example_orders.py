"""The example that newcomers start from."""

import subprocess
import sys
from pathlib import Path

import pytest

from examples.orders import Order, OrderStatus, orders
from examples.orders.generate import NOT_SERVED, generate
from workflow_ray.testing import WorkflowTester

ROOT = Path(__file__).parents[2]


async def test_an_order_is_checked_reserved_and_shipped() -> None:
    async with WorkflowTester(orders) as tester:
        handle = await tester.client(orders).trigger(
            "order-1", Order(customer="ann", country="DE", items={"globe": 1})
        )
        run = await handle.wait()
        visited = [entry.status for entry in await handle.history()]
    assert visited == [
        OrderStatus.CREATED,
        OrderStatus.VALIDATED,
        OrderStatus.RESERVED,
        OrderStatus.SHIPPED,
    ]
    assert (run.data.warehouse, run.data.parcel) == ("leipzig", "parcel-order-1-3")


async def test_an_order_to_a_country_without_a_warehouse_is_rejected() -> None:
    async with WorkflowTester(orders) as tester:
        handle = await tester.client(orders).trigger(
            "order-1", Order(customer="ann", country="JP", items={"globe": 1})
        )
        run = await handle.wait()
    assert (run.status, run.data.warehouse) == (OrderStatus.REJECTED, None)


def test_a_seed_makes_the_same_orders_every_time() -> None:
    assert list(generate(50, seed=7)) == list(generate(50, seed=7))
    assert list(generate(50, seed=7)) != list(generate(50, seed=8))


def test_about_one_generated_order_in_twenty_is_rejected() -> None:
    rejected = sum(order.country in NOT_SERVED for _, order in generate(2000, seed=7))
    assert 60 < rejected < 140


def test_generated_orders_have_keys_of_their_own() -> None:
    assert len({key for key, _ in generate(2000, seed=7)}) == 2000


@pytest.mark.parametrize("to_file", [True, False])
def test_the_generator_writes_a_line_for_each_order(to_file: bool, tmp_path: Path) -> None:
    output = ("--output", str(tmp_path / "orders.jsonl")) if to_file else ()
    command = [
        sys.executable,
        "-m",
        "examples.orders.generate",
        "--count",
        "3",
        "--seed",
        "7",
        *output,
    ]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    text = (tmp_path / "orders.jsonl").read_text() if to_file else printed
    assert text.count("\n") == 3
    assert text.startswith('{"foreign_id": "order-000001", "data": {"customer": "customer-')
