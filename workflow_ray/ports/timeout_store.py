"""Where the times stand at which runs are to be woken."""

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from workflow_ray.records import Timeout, TimeoutKey


@runtime_checkable
class TimeoutStore(Protocol):
    """Every method may raise StoreUnavailable; repeating is safe. Times are the store's clock's."""

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        """Create the timeouts; all or nothing.

        Idempotent by key: of two with one key the first one stays, also once it is completed.
        """
        ...

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
        """Up to `limit` timeouts of the status whose time has come, and which aren't completed, by
        `due_at`, then run, visit and name.

        Waits up to `wait` seconds for the first: it answers as the next one gets due. The same are
        answered again until they are completed. It costs the same however many others are pending.
        after: only those that follow this one in that order, so that some which can't be completed
            now hide no others.
        """
        ...

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        """Done with, whether they were due or not: `due` does not answer them any more.

        Idempotent; unknown keys are passed over.
        """
        ...

    async def trim_timeouts(self, *, completed: float, limit: int) -> int:
        """Forget timeouts that were completed `completed` seconds ago or longer, `limit` at most;
        how many were forgotten.

        Until then a repeated `create` of one of them changes nothing. Idempotent.
        """
        ...
