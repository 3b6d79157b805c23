"""The store of timeouts: the times at which runs are woken."""

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from workflow_ray.records import Timeout, TimeoutKey


@runtime_checkable
class TimeoutStore(Protocol):
    """Holds timeouts. Times are by the store's clock.

    Every method may raise StoreUnavailable, and may be repeated.
    """

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        """Create timeouts, all or none.

        Idempotent by key: a timeout that exists stays as it is, also if it is completed.
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
        """List the timeouts of a status that are due and not completed.

        They are sorted by `due_at`, then run, visit and name. They are listed again until they are
        completed. The cost does not grow with the number of other timeouts.

        Args:
            workflow: The workflow's name.
            status: The status's number.
            partitions: The partitions of the runs.
            limit: The most timeouts to list.
            wait: The most seconds to wait for the first. It answers as soon as one is due.
            after: Only timeouts that follow this one, so that timeouts that can't be completed now
                do not hide the others. None: from the first.
        """
        ...

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        """Mark timeouts as completed, due or not: `due` no longer lists them.

        Idempotent. Unknown keys are ignored.
        """
        ...

    async def trim_timeouts(self, *, completed: float, limit: int) -> int:
        """Delete old completed timeouts, and return how many were deleted.

        Until then, to create one of them again changes nothing. Idempotent.

        Args:
            completed: The seconds since they were completed, at least.
            limit: The most timeouts to delete.
        """
        ...
