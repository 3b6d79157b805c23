"""Waiting until something has changed that makes a condition hold."""

import asyncio
from collections.abc import Callable
from contextlib import suppress


class Noticed:
    """Wakes those who wait for a condition whenever something may have changed it."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()

    async def wait_for(self, condition: Callable[[], bool], wait: float) -> None:
        """Wait until the condition holds, for up to `wait` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait), self._changed:
                await self._changed.wait_for(condition)

    async def notify(self) -> None:
        """Have the conditions looked at again."""
        async with self._changed:
            self._changed.notify_all()
