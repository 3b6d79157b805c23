"""The thread of a process whose event loop runs what must not wait for user code."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

ENDING = 10.0
"""Seconds that the thread gets to end. It is a daemon: it keeps no process from ending."""


class EngineThread:
    """A thread with an event loop, from `start` to `stop`.

    Both are called by another event loop.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._calls = set[asyncio.Task[Any]]()  # under way; used by the thread alone
        self._is_running = threading.Event()
        self._thread = threading.Thread(target=self._run, name="workflow_ray engine", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._is_running.wait()  # about a millisecond

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Await the coroutine in the thread's loop. Cancelled, it cancels the coroutine, and leaves
        it to `stop` to wait for its end.
        """
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(self._called(work), self.loop)
        )

    async def stop(self) -> None:
        """Wait for the calls under way, cancel what else runs in the loop, and end the thread."""
        self.loop.call_soon_threadsafe(self._stop.set)
        await asyncio.to_thread(self._thread.join, ENDING)

    async def _called(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            return await work
        finally:
            self._calls.discard(task)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._is_running.set()
        await self._stop.wait()
        if self._calls:
            await asyncio.wait(self._calls)
