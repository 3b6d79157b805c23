"""The same shop, grown: it takes payments, sends invoices, and delivers coffee every Monday.

PLACED --reserve--> AWAITING_PAYMENT --paid--> PAID --charge--> INVOICING --invoiced--> SHIPPED
            or --> REJECTED                         --nobody paid--> EXPIRED
            or --> PAID, for customers with an account
invoices: DRAFT --send--> SENT

`python -m examples.orders` runs it. The small shop of this package is where to begin.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from pydantic import BaseModel

from examples.orders import WAREHOUSES
from examples.outside import Service
from workflow_ray import Retry, Run, Status, Stay, Workflow, resource

OFTEN = Retry(attempts=10, backoff=timedelta(seconds=1), factor=2.0)


class PurchaseStatus(Status):
    PLACED = 1
    AWAITING_PAYMENT = 2
    PAID = 3
    INVOICING = 4
    SHIPPED = 5
    EXPIRED = 6
    REJECTED = 7


class Purchase(BaseModel):
    customer: str
    country: str
    total: int  # EUR
    on_account: bool = False  # it is charged without a payment by the customer
    pay_within: timedelta = timedelta(days=2)
    reminders: int = 0
    receipt: str | None = None
    parcel: str | None = None


class Payment(BaseModel):
    card: str


class InvoiceStatus(Status):
    DRAFT = 1
    SENT = 2


class Invoice(BaseModel):
    customer: str
    total: int


PurchaseRun: TypeAlias = Run[Purchase, PurchaseStatus]
InvoiceRun: TypeAlias = Run[Invoice, InvoiceStatus]
purchases = Workflow("purchases", Purchase, PurchaseStatus)
invoices = Workflow("invoices", Invoice, InvoiceStatus)


@resource
async def bank() -> AsyncIterator[Service]:
    yield Service("bank")


@resource
async def carrier() -> AsyncIterator[Service]:
    yield Service("carrier")


@resource
async def mail() -> AsyncIterator[Service]:
    yield Service("mail")


@purchases.step(PurchaseStatus.PLACED)
async def reserve(
    run: PurchaseRun,
) -> Literal[PurchaseStatus.AWAITING_PAYMENT, PurchaseStatus.PAID, PurchaseStatus.REJECTED]:
    if run.data.country not in WAREHOUSES:
        return PurchaseStatus.REJECTED
    return PurchaseStatus.PAID if run.data.on_account else PurchaseStatus.AWAITING_PAYMENT


# A payment that is reported before the run waits for it is kept for an hour.
@purchases.callback(PurchaseStatus.AWAITING_PAYMENT, early=timedelta(hours=1))
async def paid(run: PurchaseRun, message: Payment) -> Literal[PurchaseStatus.PAID]:
    run.data.receipt = f"card {message.card}"
    return PurchaseStatus.PAID


# Two timeouts at one status: the first one lets the run stay, the second one ends it.
@purchases.timeout(
    PurchaseStatus.AWAITING_PAYMENT, at=lambda run: run.updated_at + run.data.pay_within / 2
)
async def remind(run: PurchaseRun, mail: Service = mail.value) -> Stay:
    run.data.reminders += 1
    letter = f"reminded {run.data.customer} of {run.foreign_id}"
    await mail.do(letter, "sent", idempotency_key=f"{run.idempotency_key}:remind")
    return Stay()


@purchases.timeout(
    PurchaseStatus.AWAITING_PAYMENT, at=lambda run: run.updated_at + run.data.pay_within
)
async def nobody_paid(run: PurchaseRun) -> Literal[PurchaseStatus.EXPIRED]:
    return PurchaseStatus.EXPIRED


# `once` stores what the bank answers at once. If the process dies later in this step, or the
# carrier does not answer, the next attempt finds the receipt, and does not ask the bank again. If
# it dies before the answer is stored, the bank knows the key.
@purchases.step(PurchaseStatus.PAID, retry=OFTEN)
async def charge(
    run: PurchaseRun, bank: Service = bank.value, carrier: Service = carrier.value
) -> Literal[PurchaseStatus.INVOICING]:
    key, order = run.idempotency_key, run.foreign_id
    run.data.receipt = await run.once(
        "charge",
        bank.do,
        f"charged {run.data.total} EUR for {order}",
        f"receipt-{order}",
        idempotency_key=key,
    )
    run.data.parcel = await carrier.do(f"booked {order}", f"parcel-{order}", idempotency_key=key)
    invoice = Invoice(customer=run.data.customer, total=run.data.total)
    run.start(invoices, f"invoice-{order}", invoice)  # committed with the transition
    return PurchaseStatus.INVOICING


@invoices.step(InvoiceStatus.DRAFT, retry=OFTEN)
async def send(run: InvoiceRun, mail: Service = mail.value) -> Literal[InvoiceStatus.SENT]:
    letter = f"sent {run.foreign_id} to {run.data.customer}"
    await mail.do(letter, "sent", idempotency_key=run.idempotency_key)
    return InvoiceStatus.SENT


@purchases.child(PurchaseStatus.INVOICING, invoices)
async def invoiced(run: PurchaseRun, invoice: InvoiceRun) -> Literal[PurchaseStatus.SHIPPED]:
    return PurchaseStatus.SHIPPED


# Each Monday at six in Vienna, exactly one run, with the foreign id coffee-TIME.
@purchases.schedule("coffee", cron="0 6 * * MON", timezone="Europe/Vienna")
def coffee(tick: datetime) -> Purchase:
    return Purchase(customer="coffee house", country="AT", total=90, on_account=True)
