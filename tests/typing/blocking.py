"""The synchronous client keeps the types of the asynchronous one."""

from collections.abc import Iterator
from typing import assert_type

from tests.typing.waits import (
    Invoice,
    InvoiceStatus,
    Order,
    OrderStatus,
    Payment,
    invoices,
    orders,
    paid,
)
from workflow_ray import Entry, Run, RunState, Trigger, TriggerOutcome
from workflow_ray.sync import Client, Handle, connect


def keep_their_types() -> None:
    with connect(orders, records="memory://typing") as client:
        assert_type(client, Client[Order, OrderStatus])
        handle = client.trigger("1", Order(total=1), start_at=OrderStatus.PAID)
        assert_type(handle, Handle[Order, OrderStatus])
        assert_type(handle.outcome, TriggerOutcome | None)
        assert_type(client.callback(paid, "1", Payment(receipt="r")), Run[Order, OrderStatus])
        assert_type(handle.callback(paid, Payment(receipt="r")), Run[Order, OrderStatus])
        assert_type(handle.callback("paid", b"{}"), Run[Order, OrderStatus])
        assert_type(handle.follow(), Iterator[Entry[Order, OrderStatus]])
        assert_type(handle.history(), list[Entry[Order, OrderStatus]])
        assert_type(handle.children(invoices), Iterator[Run[Invoice, InvoiceStatus]])
        assert_type(handle.wait_for(OrderStatus.PAID).data, Order)
        assert_type(client.runs(parent=handle), Iterator[Run[Order, OrderStatus]])
        assert_type(client.counts(), dict[tuple[OrderStatus | int, RunState], int])
        assert_type(
            client.trigger_many([Trigger("2", Order(total=2))]),
            list[tuple[Handle[Order, OrderStatus], TriggerOutcome]],
        )
