"""A thread whose event loop runs the work that must not wait for user code."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

ENDING = 10.0
"""Seconds that the thread gets to end. It is a daemon, so the process can end without it."""


class EngineThread:
    """A thread with an event loop, from `start` to `stop`.

    Another event loop calls both.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._calls = set[asyncio.Task[Any]]()  # under way; only the thread uses this
        self._is_running = threading.Event()
        self._thread = threading.Thread(target=self._run, name="workflow_ray engine", daemon=True)

    def start(self) -> None:
        """Start the thread, and wait until its loop runs."""
        self._thread.start()
        self._is_running.wait()  # about a millisecond

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Await the coroutine in the thread's loop.

        If this is cancelled, the coroutine is cancelled too; `stop` waits for its end.
        """
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(self._called(work), self.loop)
        )

    async def stop(self) -> None:
        """Wait for the calls under way, cancel the loop's other tasks, and end the thread."""
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
