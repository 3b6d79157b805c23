"""Mistakes in the use of the synchronous client that a type checker must reject, each line marked;
the rest of the file is correct.
"""

from tests.typing.waits import Invoice, InvoiceStatus, Order, Payment, orders, paid
from workflow_ray.sync import connect

with connect(orders) as client:
    client.trigger("1", Invoice(total=1))  # mistake: another workflow's data
    client.trigger("1", Order(total=1), if_active="wait")  # mistake: no such word
    client.trigger("1", Order(total=1), start_at=InvoiceStatus.DRAFT)  # mistake: its status
    handle = client.trigger("1", Order(total=1))
    handle.wait_for(InvoiceStatus.DRAFT)  # mistake: another workflow's status
    handle.callback(paid, Order(total=1))  # mistake: another message
    client.callback(paid, Payment(receipt="r"))  # mistake: for no run
    print(handle.wait().data.nothing)  # mistake: no such field
