"""The orders of a shop: three steps and a branch for orders that are rejected. `make demo` runs
2,000 of them on Ray.

CREATED --check--> VALIDATED --reserve--> RESERVED --ship--> SHIPPED
              or --> REJECTED
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, Field

from workflow_ray import Run, Status, Workflow


class OrderStatus(Status):
    """The status of an order.

    Name and number are stored: a new status takes a new number. The first status is the start.
    """

    CREATED = 1
    VALIDATED = 2
    RESERVED = 3
    SHIPPED = 4
    REJECTED = 5


class Order(BaseModel):
    """The data of a run.

    The caller sets the first three fields, and the steps set the others.
    """

    customer: str
    country: str
    items: dict[str, Annotated[int, Field(gt=0)]] = Field(min_length=1)  # article -> quantity
    warehouse: str | None = None
    parcel: str | None = None


OrderRun: TypeAlias = Run[Order, OrderStatus]
orders = Workflow("orders", Order, OrderStatus)

WAREHOUSES = {"AT": "vienna", "CH": "basel", "DE": "leipzig", "FR": "lyon", "IT": "milan"}


# A step takes a run from its status to the next one. The Literal lists the statuses that it may
# return: type checkers check the function against it, and the workflow's graph is read from it.
# SHIPPED and REJECTED have no step, so a run ends there.
@orders.step(OrderStatus.CREATED)
async def check(run: OrderRun) -> Literal[OrderStatus.VALIDATED, OrderStatus.REJECTED]:
    return OrderStatus.VALIDATED if run.data.country in WAREHOUSES else OrderStatus.REJECTED


# The changes that a step makes in the data are saved together with the status that it returns, in
# one transaction. If the step raises, neither is saved.
@orders.step(OrderStatus.VALIDATED)
async def reserve(run: OrderRun) -> Literal[OrderStatus.RESERVED]:
    run.data.warehouse = WAREHOUSES[run.data.country]
    return OrderStatus.RESERVED


# A step whose process dies runs again, with the same idempotency key, so that the carrier
# recognizes the parcel that it has already booked.
@orders.step(OrderStatus.RESERVED)
async def ship(run: OrderRun) -> Literal[OrderStatus.SHIPPED]:
    run.data.parcel = await book_parcel(run.foreign_id, idempotency_key=run.idempotency_key)
    return OrderStatus.SHIPPED


async def book_parcel(order: str, *, idempotency_key: str) -> str:
    """Stand in for the service of a carrier: a second call with the same key books nothing."""
    _, _, visit = idempotency_key.rpartition(":")
    return f"parcel-{order}-{visit}"
