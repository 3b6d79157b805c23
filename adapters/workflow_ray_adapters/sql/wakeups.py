"""What no commit of this process gives a hint of: time, and the commits of other processes."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf

from workflow_ray.errors import StoreError
from workflow_ray.ports import Clock
from workflow_ray_adapters.sql.notifications import Notification
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


async def polled(changed: Callable[[], Awaitable[bool]], wanted: Callable[[], bool], longest: float = LONGEST) -> None:
    """Wait for a change by asking for it while somebody wants to know: often at first, then less so.

    It sleeps by the machine's clock, whatever the store's is: the other processes are real.
    """
    pause = SHORTEST
    while True:
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, longest)
        if wanted() and await changed():
            return


class Pulse:
    """Passes on the word of other processes' commits. After each it rests for a moment: who waits isn't woken for every one."""

    def __init__(self, word: Callable[[], Awaitable[Notification | None]], heard: Callable[[Notification | None], None]) -> None:
        self._word, self._heard = word, heard

    async def run(self) -> None:
        while True:
            try:
                self._heard(await self._word())
            except StoreError:
                self._heard(None)  # whoever waits looks for himself, and is told the error
                await asyncio.sleep(LONGEST)
            await asyncio.sleep(SHORTEST)
