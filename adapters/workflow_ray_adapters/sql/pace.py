"""How often a database that sends no notifications is polled."""

import asyncio
from collections.abc import Callable

SHORTEST = 0.005
LONGEST = 0.05
"""Seconds between two polls."""


class Pace:
    """Poll quickly after a poll that woke somebody, and more and more slowly where changes concern
    nobody. It goes by the machine's clock, whatever the store's is, because the other processes are
    real.
    """

    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        self._is_wanted = is_wanted
        self._pause = SHORTEST

    async def rest(self) -> None:
        """Wait until the next poll is due and somebody waits for what it may find."""
        while True:
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 1.5, LONGEST)
            if self._is_wanted():
                return

    def quicken(self) -> None:
        self._pause = SHORTEST
