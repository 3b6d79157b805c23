"""What is due by time: no commit gives notice of it."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from workflow_ray.ports import Clock
from workflow_ray_adapters.sql.rows import micros

K = TypeVar("K", bound=Hashable)
LONGEST = 60.0
"""Seconds after which a due time is compared with the clock again, if nothing happened before."""


class Timer(Generic[K]):
    """Call `fire` with a key when its time is due. Of several times for a key only the first is
    kept: who looks then, and finds nothing, sets the next.

    Due times are the store's. The difference between its time and this process's monotonic clock is
    noted whenever a statement has returned it.
    """

    def __init__(self, clock: Clock, fire: Callable[[K], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._due: dict[K, int] = {}  # microseconds
        self._changed = asyncio.Event()
        # microseconds: the store's time less the monotonic clock
        self._ahead = micros(clock.now()) - self._elapsed()

    def set(self, key: K, due: int) -> None:
        """Fire at that time as well."""
        if due < self._due.get(key, due + 1):
            self._due[key] = due
            self._changed.set()

    def note(self, now: int) -> None:
        """Note that the store's time is `now`, in microseconds since 1970."""
        ahead = now - self._elapsed()
        if abs(ahead - self._ahead) > TOLERATED:
            self._changed.set()
        self._ahead = ahead

    async def run(self) -> None:
        while True:
            self._changed.clear()
            now = self._elapsed() + self._ahead
            for key in [key for key, due in self._due.items() if due <= now]:
                del self._due[key]
                self._fire(key)
            if self._due:
                await self._clock.wait(
                    self._changed, min((min(self._due.values()) - now) / SECOND, LONGEST)
                )
            else:
                await self._changed.wait()

    def _elapsed(self) -> int:
        return round(self._clock.monotonic() * SECOND)


SECOND = 1_000_000
TOLERATED = 1_000
"""Microseconds by which a statement's time may be late before anybody is woken for it."""
