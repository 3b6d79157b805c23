"""An opening of the store: its contents and its clock."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from workflow_ray.ports import Clock, SystemClock
from workflow_ray.records import Fence
from workflow_ray_adapters.memory.contents import OUTBOX, Contents

T = TypeVar("T")


class Opening:
    """What every part of an opening uses: the contents, and the time by its clock."""

    def __init__(self, clock: Clock, contents: Contents | None = None) -> None:
        self._clock = clock
        self._contents = contents or Contents()

    @property
    def store_id(self) -> str:
        return self._contents.store_id

    def _now(self) -> datetime:
        """Return the time by the store's clock.

        That is the host's, unless it was given another clock than SystemClock.
        """
        return datetime.now(UTC) if isinstance(self._clock, SystemClock) else self._clock.now()

    def _seconds_until(self, due_at: datetime | None) -> float:
        return math.inf if due_at is None else (due_at - self._now()).total_seconds()

    async def _once_due(self, fence: Fence, wait: float, look: Callable[[], T]) -> T:
        """Return what `look` finds in the outbox once an entry is due.

        The publisher must still hold its role then.
        """

        def look_as_holder() -> T:
            self._contents.roles.check(fence)
            return look()

        def due_in() -> float:
            return self._seconds_until(self._contents.outbox.next_due())

        keys = (OUTBOX, fence.role)
        return await self._contents.publishing.poll(
            keys, look_as_holder, clock=self._clock, wait=wait, due_in=due_in
        )
