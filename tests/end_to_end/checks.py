"""Checks the orders of the demo, whatever happened to the servers while they were processed."""

import asyncio
from itertools import pairwise

from examples.orders import Order, OrderStatus, orders
from workflow_ray import Client, Run, RunState, connect

AT_ONCE = 100
"""Histories that are read concurrently."""
ENDS = {
    (OrderStatus.CREATED, OrderStatus.VALIDATED, OrderStatus.RESERVED, OrderStatus.SHIPPED),
    (OrderStatus.CREATED, OrderStatus.REJECTED),
}


async def count_finished(client: Client[Order, OrderStatus]) -> int:
    """Count the orders that are finished."""
    return sum(
        count for (_, run_state), count in (await client.counts()).items() if run_state.finished
    )


async def check_orders(records: str, count: int) -> None:
    """Check that there are this many orders, each once, and that each has ended.

    The history of each holds each version once, and each step once.
    """
    async with connect(orders, records=records) as client:
        runs = [run async for run in client.runs()]
        assert len(runs) == len({run.foreign_id for run in runs}) == count
        for first in range(0, count, AT_ONCE):
            await asyncio.gather(*(_check(client, run) for run in runs[first : first + AT_ONCE]))


async def _check(client: Client[Order, OrderStatus], run: Run[Order, OrderStatus]) -> None:
    history = await client.handle(run.run_id).history()
    assert run.run_state is RunState.COMPLETED
    assert [entry.version for entry in history] == list(range(1, run.version + 1))
    arrived = [
        entry.status for before, entry in pairwise(history) if before.status is not entry.status
    ]
    assert (history[0].status, *arrived) in ENDS
