"""The grown shop of the examples: nobody is charged twice, and nobody ships what is not paid."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from examples.orders.shop import (
    Payment,
    Purchase,
    PurchaseStatus,
    bank,
    carrier,
    coffee,
    invoices,
    mail,
    paid,
    purchases,
)
from examples.outside import Service
from tests.end_to_end.examples import crash, run_example
from workflow_ray import Cause
from workflow_ray.testing import WorkflowTester, assert_history

ANN = Purchase(customer="ann", country="DE", total=40)


class BrokenCarrier(Service):
    """Does not answer the first two calls."""

    calls = 0

    async def do(self, what: str, answer: str, *, idempotency_key: str) -> str:
        self.calls += 1
        if self.calls <= 2:
            raise ConnectionError("the carrier does not answer")
        return await super().do(what, answer, idempotency_key=idempotency_key)


@pytest.fixture
async def tester(tmp_path: Path) -> AsyncIterator[WorkflowTester]:
    services = {bank: Service("bank", tmp_path), mail: Service("mail", tmp_path)}
    broken = BrokenCarrier("carrier", tmp_path)
    async with WorkflowTester(
        purchases, invoices, resources={**services, carrier: broken}
    ) as tester:
        yield tester


def done(name: str, folder: Path) -> list[str]:
    return Service(name, folder).done()


async def test_a_paid_order_is_charged_once_though_the_carrier_fails(
    tester: WorkflowTester, tmp_path: Path
) -> None:
    handle = await tester.client(purchases).trigger("order-1", ANN)
    await handle.callback(paid, Payment(card="4242"))
    await tester.advance(timedelta(minutes=1))
    run = await handle.wait()
    assert (run.data.receipt, run.data.parcel) == ("receipt-order-1", "parcel-order-1")
    await assert_history(
        handle,
        [
            (PurchaseStatus.PLACED, Cause.TRIGGER),
            (PurchaseStatus.AWAITING_PAYMENT, Cause.STEP),
            (PurchaseStatus.PAID, Cause.CALLBACK),
            (PurchaseStatus.PAID, Cause.RETRY),
            (PurchaseStatus.PAID, Cause.RETRY),
            (PurchaseStatus.INVOICING, Cause.STEP),
            (PurchaseStatus.SHIPPED, Cause.CHILD),
        ],
    )
    assert done("bank", tmp_path) == ["charged 40 EUR for order-1"]
    assert done("mail", tmp_path) == ["sent invoice-order-1 to ann"]


async def test_an_order_that_nobody_pays_expires_after_one_reminder(
    tester: WorkflowTester, tmp_path: Path
) -> None:
    handle = await tester.client(purchases).trigger("order-1", ANN)
    await tester.advance(timedelta(hours=25))
    assert done("mail", tmp_path) == ["reminded ann of order-1"]
    await tester.advance(timedelta(hours=24))
    run = await handle.wait()
    assert (run.status, run.data.reminders) == (PurchaseStatus.EXPIRED, 1)
    assert done("bank", tmp_path) == []


async def test_an_order_to_a_country_without_a_warehouse_is_rejected(
    tester: WorkflowTester,
) -> None:
    purchase = ANN.model_copy(update={"country": "JP"})
    handle = await tester.client(purchases).trigger("order-1", purchase)
    assert (await handle.wait()).status is PurchaseStatus.REJECTED


async def test_each_monday_has_one_coffee_on_account(
    tester: WorkflowTester, tmp_path: Path
) -> None:
    await tester.advance(timedelta(days=15))
    runs = [run async for run in tester.client(purchases).runs()]
    assert {run.status for run in runs} == {PurchaseStatus.SHIPPED}
    assert [run.foreign_id for run in runs] == [
        "coffee-2030-01-07T05:00:00Z",
        "coffee-2030-01-14T05:00:00Z",
    ]
    assert len(done("bank", tmp_path)) == 2
    assert coffee(tester.now).on_account


COFFEES = [f"coffee-2026-11-{day:02}T05:00:00Z" for day in (9, 16)]
CHARGED = [
    "charged 40 EUR for order-1",
    "charged 250 EUR for order-2",
    *(f"charged 90 EUR for {name}" for name in COFFEES),
]


@pytest.mark.timeout(120)
def test_the_one_command_prints_the_orders_and_charges_nobody_again(tmp_path: Path) -> None:
    for _ in range(2):
        printed = run_example("orders", tmp_path)
        assert "order-1: SHIPPED, receipt-order-1" in printed
        assert "order-3: EXPIRED, not charged" in printed
        assert "order-4: REJECTED, not charged" in printed
        assert f"{COFFEES[1]}: SHIPPED" in printed
        assert "The next coffee is due at 20" in printed
    assert Counter(done("bank", tmp_path)) == Counter(CHARGED)


@pytest.mark.timeout(120)
def test_nobody_is_charged_twice_however_often_it_is_killed(tmp_path: Path) -> None:
    assert "order-2: SHIPPED, receipt-order-2" in crash("orders", tmp_path, kills=3)
    assert Counter(done("bank", tmp_path)) == Counter(CHARGED)
    names = ["order-1", "order-2", *COFFEES]
    assert Counter(done("carrier", tmp_path)) == Counter(f"booked {name}" for name in names)
