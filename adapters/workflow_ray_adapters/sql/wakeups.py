"""What no commit of this process gives a hint of: time, and the commits of other processes."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf

from workflow_ray.errors import StoreError
from workflow_ray.ports import Clock
from workflow_ray_adapters.sql.rows import micros

SHORTEST = 0.005
LONGEST = 0.05


class Alarm:
    """Rings when the next delayed entry of the outbox gets due."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock, self._ring = clock, ring
        self._due = inf  # microseconds
        self._sooner = asyncio.Event()

    def set(self, due: int) -> None:
        """Ring at that time too. Of several times only the next is kept: who looks then, and finds nothing, sets the one after."""
        if due < self._due:
            self._due = due
            self._sooner.set()

    async def run(self) -> None:
        while True:
            self._sooner.clear()
            left = (self._due - micros(self._clock.now())) / 1_000_000
            if left <= 0:
                self._due = inf
                self._ring()
            elif left == inf:
                await self._sooner.wait()
            else:
                await self._clock.wait(self._sooner, left)


class Pulse:
    """Looks for commits of other processes while somebody waits for one: often after the last one, then less so.

    It sleeps by the machine's clock, whatever the store's is: the other processes are real.
    """

    def __init__(self, wanted: Callable[[], bool], look: Callable[[], Awaitable[bool]], ring: Callable[[], None]) -> None:
        self._wanted, self._look, self._ring = wanted, look, ring

    async def run(self) -> None:
        pause = SHORTEST
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST)
            if self._wanted() and await self._changed():
                pause = SHORTEST
                self._ring()

    async def _changed(self) -> bool:
        try:
            return await self._look()
        except StoreError:
            return True  # whoever waits looks for himself, and is told the error
