"""A thread whose event loop runs the work that must not wait for user code."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

ENDING = 10.0
"""Seconds that the thread gets to end. It is a daemon, so the process can end without it."""


class EngineThread:
    """A thread with an event loop, from `start` to `stop` or `end`.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str = "workflow_ray engine") -> None:
        self.loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._calls = set[asyncio.Task[Any]]()  # under way; only the thread uses this
        self._is_running = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread, and wait until its loop runs."""
        self._thread.start()
        self._is_running.wait()  # about a millisecond

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Await the coroutine in the thread's loop.

        If this is cancelled, the coroutine is cancelled too; `stop` waits for its end.
        """
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run the coroutine in the thread's loop, as `call` does. Any thread may call this.

        To cancel the future cancels the coroutine.
        """
        return asyncio.run_coroutine_threadsafe(self._called(work), self.loop)

    async def stop(self) -> None:
        """Wait for the calls under way, cancel the loop's other tasks, and end the thread."""
        self.loop.call_soon_threadsafe(self._stop.set)
        await asyncio.to_thread(self._thread.join, ENDING)

    def end(self) -> None:
        """As `stop`, for a caller without an event loop."""
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(ENDING)

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
