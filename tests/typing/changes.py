"""Changes of a live definition, as a user writes them. Type checkers accept this file."""

from typing import Any, Literal

from pydantic import BaseModel

from workflow_ray import Run, Status, Workflow


class OrderStatus(Status):
    PAID = 1
    SHIPPED = 2


class Order(BaseModel):
    cents: int


orders = Workflow(
    "orders", Order, OrderStatus, data_version=3, moved={"RESERVED": OrderStatus.PAID}
)


@orders.migrate(1)
def to_cents(data: dict[str, Any]) -> dict[str, Any]:
    data["cents"] = data.pop("euros") * 100
    return data


@orders.migrate(2)
def without_name(data: dict[str, Any]) -> dict[str, Any]:
    return {"cents": data["cents"]}


@orders.step(OrderStatus.PAID)
async def ship(run: Run[Order, OrderStatus]) -> Literal[OrderStatus.SHIPPED]:
    return OrderStatus.SHIPPED


def keep_their_types() -> None:
    """A migration keeps its type."""
    changed: dict[str, Any] = to_cents({"euros": 1})
    order: Order = orders.decode(b"{}", 1)
    print(changed, order)
