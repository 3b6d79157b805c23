"""Mistakes in changes of a live definition. Type checkers reject each marked line, and no other."""

from typing import Any, TypeAlias

from tests.typing.changes import Order, OrderStatus, orders
from tests.typing.shop import InvoiceStatus
from workflow_ray import Workflow

Orders: TypeAlias = Workflow[Order, OrderStatus]
Workflow("orders", Order, OrderStatus, data_version="2")  # mistake
Workflow("orders", Order, OrderStatus, moved=["RESERVED"])  # mistake
gone = {"OLD": InvoiceStatus.SENT}
other: Orders = Workflow("orders", Order, OrderStatus, moved=gone)  # mistake


@orders.migrate("1")  # mistake
def text_version(data: dict[str, Any]) -> dict[str, Any]:
    return data


@orders.migrate(1)  # mistake: no result
def forgets(data: dict[str, Any]) -> None:
    data["cents"] = 1


@orders.migrate(1)  # mistake: it is async
async def waits(data: dict[str, Any]) -> dict[str, Any]:
    return data


@orders.migrate(1)  # mistake: two arguments
def two(data: dict[str, Any], more: int) -> dict[str, Any]:
    return data
