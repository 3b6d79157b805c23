"""Where the times stand at which runs are to be woken."""

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from workflow_ray.records import Timeout, TimeoutKey


@runtime_checkable
class TimeoutStore(Protocol):
    """Every method may raise StoreUnavailable; repeating is safe. Times are the store's clock's."""

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        """Note the timeouts; all or nothing. Idempotent by key: of two with one key the first stands, for good, even once completed."""
        ...

    async def due(self, workflow: str, status: int, partitions: Collection[int], *, limit: int, wait: float) -> list[Timeout]:
        """Up to `limit` timeouts of the status whose time has come, and which aren't completed, by `due_at`, then run, visit and name.

        Waits up to `wait` seconds for the first. The same are answered again until they are completed.
        """
        ...

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        """Done with, whether they were due or not: `due` answers them no more. Idempotent; unknown keys are passed over."""
        ...
