"""A step's time limit: an attempt that runs for longer has failed."""

import asyncio
from collections.abc import Callable

from workflow_ray.ports import Clock
from workflow_ray.roles.attempt import Attempt


class TimeLimit:
    """Watches the running attempts of one step.

    Args:
        seconds: That an attempt may take.
        clock: Measures them.
        expired: Called with each attempt that has not ended by then.
    """

    def __init__(self, seconds: float, clock: Clock, expired: Callable[[Attempt], None]) -> None:
        self.seconds = seconds
        self._clock = clock
        self._expired = expired
        # With their deadlines, which ascend: all have the same time
        self._running: dict[Attempt, float] = {}
        self._begun = asyncio.Event()

    def begin(self, attempt: Attempt) -> None:
        self._running[attempt] = self._clock.monotonic() + self.seconds
        self._begun.set()

    def end(self, attempt: Attempt) -> None:
        self._running.pop(attempt, None)

    async def run(self) -> None:
        """Watch until cancelled."""
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
