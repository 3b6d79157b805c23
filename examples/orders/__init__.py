"""A shop's orders: three steps and a rejection branch. `make demo` puts 2,000 of them through it on
Ray.

CREATED --check--> VALIDATED --reserve--> RESERVED --ship--> SHIPPED
              or --> REJECTED
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, Field

from workflow_ray import Run, Status, Workflow


class OrderStatus(Status):
    """Where an order stands.

    Name and number are stored: a new status takes a number of its own. The first is the start.
    """

    CREATED = 1
    VALIDATED = 2
    RESERVED = 3
    SHIPPED = 4
    REJECTED = 5


class Order(BaseModel):
    """What a run carries along.

    The caller fills in the first three fields, the steps the others.
    """

    customer: str
    country: str
    items: dict[str, Annotated[int, Field(gt=0)]] = Field(min_length=1)  # article -> quantity
    warehouse: str | None = None
    parcel: str | None = None


OrderRun: TypeAlias = Run[Order, OrderStatus]
orders = Workflow("orders", Order, OrderStatus)

WAREHOUSES = {"AT": "vienna", "CH": "basel", "DE": "leipzig", "FR": "lyon", "IT": "milan"}


# A step takes a run that stands at its status to the next. The Literal lists where it may go: type
# checkers hold the function to it, and the workflow's graph is read from it. SHIPPED and REJECTED
# have no step, so a run ends there.
@orders.step(OrderStatus.CREATED)
async def check(run: OrderRun) -> Literal[OrderStatus.VALIDATED, OrderStatus.REJECTED]:
    return OrderStatus.VALIDATED if run.data.country in WAREHOUSES else OrderStatus.REJECTED


# What a step changes in the data is saved with the status that it returns, in one transaction; if
# it raises, neither is.
@orders.step(OrderStatus.VALIDATED)
async def reserve(run: OrderRun) -> Literal[OrderStatus.RESERVED]:
    run.data.warehouse = WAREHOUSES[run.data.country]
    return OrderStatus.RESERVED


# A step whose process dies is run again, with the same idempotency key: a carrier that gets it
# knows the parcel it booked.
@orders.step(OrderStatus.RESERVED)
async def ship(run: OrderRun) -> Literal[OrderStatus.SHIPPED]:
    run.data.parcel = await book_parcel(run.foreign_id, idempotency_key=run.idempotency_key)
    return OrderStatus.SHIPPED


async def book_parcel(order: str, *, idempotency_key: str) -> str:
    """A carrier's service, were this a shop: of two calls with one key the second books nothing."""
    _, _, visit = idempotency_key.rpartition(":")
    return f"parcel-{order}-{visit}"
