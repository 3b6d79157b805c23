"""Takes a few orders through the grown shop, and prints where each has been.

python -m examples.orders [--records URL] [--runtime local|ray]
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from examples.orders.shop import Payment, Purchase, PurchaseStatus, invoices, paid, purchases
from examples.running import Options, parser_of, runtime_of
from workflow_ray import Client, Handle
from workflow_ray.errors import CallbackError, RunFinished

SECOND = timedelta(seconds=1)
PURCHASES = {
    "order-1": Purchase(customer="ann", country="DE", total=40),
    "order-2": Purchase(customer="bob", country="FR", total=250),
    "order-3": Purchase(customer="cy", country="IT", total=15, pay_within=3 * SECOND),
    "order-4": Purchase(customer="dee", country="JP", total=70),
}
PAYERS = {"order-1": "4242", "order-2": "1881"}
"""The cards. Nobody pays for order-3, and a demonstration does not wait for two days."""
MONDAYS = datetime(2026, 11, 9, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)


async def buy(
    client: Client[Purchase, PurchaseStatus], order: str
) -> Handle[Purchase, PurchaseStatus]:
    """Place an order, and pay for it. The keys make it repeatable."""
    handle = await client.trigger(order, PURCHASES[order], idempotency_key=order)
    if order in PAYERS:
        with suppress(CallbackError, RunFinished):  # an earlier process has waited for too long
            payment = Payment(card=PAYERS[order])
            await handle.callback(paid, payment, idempotency_key=f"payment-{order}")
    return handle


async def main(options: Options) -> None:
    async with runtime_of(options, purchases, invoices) as runtime:
        client = runtime.client(purchases)
        handles = await asyncio.gather(*(buy(client, order) for order in PURCHASES))
        deliveries = await client.backfill("coffee", *MONDAYS)  # those of two past Mondays
        handles += [handle for handle, _ in deliveries]
        for run in await asyncio.gather(*(handle.wait() for handle in handles)):
            history = await client.handle(run.run_id).history()
            print(f"\n{run.foreign_id}: {run.status.name}, {run.data.receipt or 'not charged'}")
            for entry in history:
                print(f"  {entry.at:%H:%M:%S.%f} {entry.status.name:<16} {entry.cause.name}")
        (schedule,) = await client.schedules()
        print(f"\nThe next coffee is due at {schedule.next_tick}.")


if __name__ == "__main__":
    parser = parser_of("orders", "Take orders through the grown shop.")
    asyncio.run(main(parser.parse_args(namespace=Options())))
