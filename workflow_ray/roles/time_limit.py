"""The time limit of a step: an attempt that takes longer has failed."""

import asyncio
from collections.abc import Callable

from workflow_ray.ports import Clock
from workflow_ray.roles.attempt import Attempt


class TimeLimit:
    """Watches the running attempts of one step.

    Args:
        seconds: The seconds that an attempt may take.
        clock: Measures them.
        expired: Called with each attempt that takes longer.
    """

    def __init__(self, seconds: float, clock: Clock, expired: Callable[[Attempt], None]) -> None:
        self.seconds = seconds
        self._clock = clock
        self._expired = expired
        # The deadlines ascend, because all attempts have the same limit.
        self._running: dict[Attempt, float] = {}
        self._begun = asyncio.Event()

    def begin(self, attempt: Attempt) -> None:
        self._running[attempt] = self._clock.monotonic() + self.seconds
        self._begun.set()

    def end(self, attempt: Attempt) -> None:
        self._running.pop(attempt, None)

    async def run(self) -> None:
        """Watch the attempts until cancelled."""
        while True:
            await self._begun.wait()
            attempt, deadline = next(iter(self._running.items()), (None, 0.0))
            if attempt is None:
                self._begun.clear()
            elif (left := deadline - self._clock.monotonic()) > 0:
                await self._clock.wait(attempt.ended, left)
            else:
                self.end(attempt)
                self._expired(attempt)
