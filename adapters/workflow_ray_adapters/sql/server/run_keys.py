"""Transactions of the keys of runs, on a server. They run in an event loop of their own, because
callers in several event loops share the connections.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")
DEADLINE = 20.0
"""Seconds after which a call fails."""
POOL: Final[Mapping[str, Any]] = {
    "pool_size": 2,
    "max_overflow": 2,
    "pool_timeout": DEADLINE,
    "pool_pre_ping": True,
}
"""The options of the engine."""


class ServerRunner:
    """Runs work in transactions. It connects at its first call, and keeps connections open.

    Args:
        engine: Makes the engine.
    """

    def __init__(self, engine: Callable[[], AsyncEngine]) -> None:
        self._make = engine
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: AsyncEngine | None = None

    async def run(self, work: Callable[[Connection], T]) -> T:
        """See Runner. Raises TimeoutError: the server did not answer in time."""
        call = asyncio.run_coroutine_threadsafe(self._run(work), self._started())
        return await asyncio.wrap_future(call)

    async def _run(self, work: Callable[[Connection], T]) -> T:
        if self._engine is None:
            self._engine = self._make()
        async with asyncio.timeout(DEADLINE), self._engine.begin() as connection:
            return await connection.run_sync(work)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # A daemon, because nobody closes a codec: it lives as long as its definition.
                threading.Thread(
                    target=self._loop.run_forever, name="keys of runs", daemon=True
                ).start()
            return self._loop
