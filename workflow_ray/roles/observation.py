"""Keeps apart the in-doubt attempts of all roles of a process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

OBSERVED = 5.0
"""The seconds for which an in-doubt attempt delays the next one. A step that kills its process
usually does that sooner.
"""


class Observation:
    """Lets in-doubt attempts run alone, or in groups. All roles of an event loop share it.

    While an attempt runs alone, no other in-doubt attempt runs, of this role or of another. Groups
    may run at the same time.
    """

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._groups = 0
        self._alone = False
        self._waiting = 0  # attempts that wait to run alone; they go before groups

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """Wait until no other in-doubt attempt runs, and let none begin inside of the block."""
        async with self._changed:
            self._waiting += 1
            try:
                await self._changed.wait_for(lambda: not self._alone and not self._groups)
                self._alone = True
            finally:
                self._waiting -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            self._alone = False
            await self._notify()

    async def begin_group(self) -> bool:
        """Wait until no attempt runs alone, and let none do so until `end_group`. Returns True."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone and not self._waiting)
            self._groups += 1
        return True

    async def end_group(self) -> None:
        self._groups -= 1
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
