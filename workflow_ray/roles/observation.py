"""How the roles of one process keep runs apart that may have killed a process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

OBSERVED = 5.0
"""Seconds for which an attempt in doubt holds up the next: what kills a process does so sooner, as
a rule.
"""


class Observation:
    """Shared by all roles of a process, and of one event loop.

    An attempt that runs alone has no other attempt in doubt beside it, whichever role that belongs
    to. Groups may run side by side.
    """

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._groups = 0
        self._alone = False
        self._waiting = 0  # those that want to run alone: they go first

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """Have no other attempt in doubt begin meanwhile."""
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
            await self._tell()

    async def begin_group(self) -> bool:
        """Wait until no attempt runs alone, and have none do so until `end_group`. True."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone and not self._waiting)
            self._groups += 1
        return True

    async def end_group(self) -> None:
        self._groups -= 1
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
