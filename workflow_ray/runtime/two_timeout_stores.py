"""Timeouts of which some are with the records, although another store holds them."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime

from workflow_ray.ports import TimeoutStore
from workflow_ray.records import Timeout, TimeoutKey


class TwoTimeoutStores:
    """A TimeoutStore that creates timeouts in one store, and reads those of another one too.

    A client reaches the records only, and does not know where the timeouts are. It leaves those of
    the runs that it triggers with the records. So does a deployment that had no store for them.
    """

    def __init__(self, timeouts: TimeoutStore, beside_records: TimeoutStore) -> None:
        self._both = (timeouts, beside_records)
        self.create = timeouts.create

    async def due(
        self,
        workflow: str,
        status: int,
        partitions: Collection[int],
        *,
        limit: int,
        wait: float,
        after: Timeout | None = None,
    ) -> list[Timeout]:
        """See TimeoutStore."""

        async def listed(store: TimeoutStore, wait: float) -> list[Timeout]:
            return await store.due(
                workflow, status, partitions, limit=limit, wait=wait, after=after
            )

        if wait > 0:
            await _first([asyncio.create_task(listed(store, wait)) for store in self._both])
        # both are read again, so that none of one store hides an earlier one of the other
        found = [timeout for store in self._both for timeout in await listed(store, 0.0)]
        return sorted(found, key=_order)[:limit]

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        """See TimeoutStore. Each store ignores the keys of the other."""
        for store in self._both:
            await store.complete(keys)

    async def trim_timeouts(self, *, completed: float, limit: int) -> int:
        """See TimeoutStore."""
        deleted = 0
        for store in self._both:
            if deleted < limit:
                deleted += await store.trim_timeouts(completed=completed, limit=limit - deleted)
        return deleted


async def _first(waits: Collection[asyncio.Task[list[Timeout]]]) -> None:
    """Wait until one of the tasks has found something, or all have ended. Raises their errors."""
    pending = set(waits)
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            answers = [task.result() for task in done]  # all, so that each error is raised
            if any(answers):
                return
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def _order(timeout: Timeout) -> tuple[datetime, str, int, str]:
    key = timeout.key
    return timeout.due_at, key.run_id, key.visit, key.name
