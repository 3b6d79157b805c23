"""Bound the write-ahead log. SQLite resets it only at a moment when nobody reads from it, and where
reads follow each other closely there is none: so readers are held back for that moment.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

LIMIT = 64 * 1024 * 1024
"""Bytes of the log above which it is to be reset: four times what it has between two checkpoints.
"""
GROWTH = 16 * 1024 * 1024
"""Bytes that it grows by before a reset is tried again, while another process reads."""


class Log:
    """Who reads in this process now, and when the log is too large."""

    def __init__(self, readers: int) -> None:
        self.size = 0
        """Bytes that it has, as far as is known: the writer updates it."""
        self._free = asyncio.Semaphore(readers)  # reads that wait for a thread have not begun
        # bytes that it had when it was last to be reset, or fewer that it has had since
        self._tried_at = 0
        self._reads = 0
        self._is_open = asyncio.Event()  # set while reads may begin
        self._is_open.set()
        self._is_unread = asyncio.Event()  # set while there are none
        self._is_unread.set()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[None]:
        """Count a read of this process."""
        async with self._free:
            await self._is_open.wait()
            self._reads += 1
            self._is_unread.clear()
            try:
                yield
            finally:
                self._reads -= 1
                if not self._reads:
                    self._is_unread.set()

    def is_large(self) -> bool:
        self._tried_at = min(self._tried_at, self.size)
        return self.size > LIMIT and self.size > self._tried_at + GROWTH

    def is_far_too_large(self) -> bool:
        """Return whether writes have to wait until reads have let it be reset."""
        return self.size > 2 * LIMIT

    @asynccontextmanager
    async def hold_reads(self) -> AsyncGenerator[None]:
        """Wait until the reads of now are over. Reads that come meanwhile wait until the block
        ends.
        """
        self._is_open.clear()
        try:
            await self._is_unread.wait()
            yield
        finally:
            self._is_open.set()
            self._tried_at = self.size
