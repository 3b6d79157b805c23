"""Calls from threads to a client that lives in the event loop of a thread of its own."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from workflow_ray.client.within import session_of_caller
from workflow_ray.errors import RuntimeUnavailable
from workflow_ray.runtime.bridge import connection_closed
from workflow_ray.runtime.engine_thread import EngineThread

T = TypeVar("T")

AT_ONCE = 100
"""The most items of an iteration that one change of threads brings."""


class BlockingCalls:
    """Runs coroutines in the event loop of its thread, and blocks the caller until they end.

    Any thread may use it, but for one that runs an event loop.
    """

    def __init__(self) -> None:
        self._thread = EngineThread("workflow_ray client")
        self._stack = AsyncExitStack()  # entered and closed in the thread's loop
        self._under_way = set[_Call[Any]]()
        self._process = os.getpid()
        self._is_closed = False
        # A call is either begun before `close` or refused. Reentrant, because the garbage collector
        # may end an iteration in the middle of another call.
        self._lock = threading.RLock()

    def open(self, connecting: AbstractAsyncContextManager[T]) -> T:
        """Start the thread, and enter the context manager in its loop. `close` leaves it.

        Raises:
            RuntimeUnavailable: The calling thread runs an event loop.
        """
        self._check_caller()
        self._thread.start()
        try:
            return self.result(self._stack.enter_async_context(connecting))
        except BaseException:
            self.close()
            raise

    def result(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine, and return or raise what it does.

        An exception in the waiting thread, such as KeyboardInterrupt, cancels the coroutine.

        Raises:
            RuntimeUnavailable: The client is closed, or the caller can't use it. The coroutine did
                not begin. If the client was closed during the call, it is not known whether the
                call took effect.
        """
        call = _Call(work)
        try:
            return self._begun(call).result()
        except CancelledError:
            raise connection_closed() from None
        except BaseException:
            self._give_up(call)  # it has no effect if the error is the coroutine's
            raise
        finally:
            self._under_way.discard(call)

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """Yield the items. Those that are there already come with one change of threads."""
        reading = _Reading(items)
        is_over = False
        try:
            while some := self.result(reading.some()):
                yield from some
            is_over = True
        finally:
            if not is_over:
                self._finish(reading)

    def close(self) -> None:
        """End the calls under way, leave the context manager, and end the thread.

        To close it again changes nothing, and neither does a process that was forked.
        """
        if self._is_forked():
            return
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        for call in tuple(self._under_way):
            self._give_up(call)
        try:
            self._thread.submit(self._stack.aclose()).result()
        finally:
            self._thread.end()

    def _begun(self, call: "_Call[T]") -> Future[T]:
        try:
            self._check_caller()
            with self._lock:
                if self._is_closed:
                    raise connection_closed()
                self._under_way.add(call)
                call.future = self._thread.submit(call.run())
                return call.future
        except RuntimeUnavailable:
            call.work.close()
            raise

    def _give_up(self, call: "_Call[Any]") -> None:
        """Cancel a call that may have begun. A Ctrl-C may interrupt the thread just before it has
        the call's future.
        """
        if call.future is not None:
            call.future.cancel()
        elif call in self._under_way:
            self._thread.loop.call_soon_threadsafe(call.cancel)

    def _check_caller(self) -> None:
        if self._is_forked():
            raise RuntimeUnavailable(
                "the client",
                f"process {self._process} connected it, and this process, {os.getpid()}, was forked"
                " from that one afterwards; call `workflow_ray.sync.connect` in this process",
            )
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise RuntimeUnavailable(
            "the client",
            "its calls would block the event loop that runs in this thread; use a client of"
            " `workflow_ray.connect` here, whose calls are awaited",
        )

    def _is_forked(self) -> bool:
        """Whether this is another process: it lacks the thread, and a thread that it lacks may hold
        the lock.
        """
        return os.getpid() != self._process

    def _finish(self, reading: "_Reading[Any]") -> None:
        """Have an iteration end that its reader has left. This does not wait, because the garbage
        collector may call it.
        """
        if self._is_forked():
            return
        with self._lock:
            if not self._is_closed:
                self._thread.submit(reading.close())


class _Call(Generic[T]):
    """A coroutine that a thread waits for. The thread's loop runs it."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.work = work
        self.future: Future[T] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_cancelled = False

    async def run(self) -> T:
        if self._is_cancelled:
            raise asyncio.CancelledError
        self._task = asyncio.current_task()
        return await self.work

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._task is None:
            self.work.close()
        else:
            self._task.cancel()


class _Reading(Generic[T]):
    """Reads an iterator, in the thread's loop."""

    def __init__(self, items: AsyncIterator[T]) -> None:
        self._items = items
        self._next: asyncio.Task[T | _End] | None = None

    async def some(self) -> list[T]:
        """Wait for the next item, and return it with those that come without a wait.

        Returns:
            The items. None at all: the iterator is at its end.
        """
        found: list[T] = []
        while len(found) < AT_ONCE:
            task = self._next = self._next or self._begin()
            if found:
                await asyncio.sleep(0)  # the task gets one turn
                if not task.done() or task.exception():  # the next call waits for it, or raises it
                    break
            item = await task
            self._next = None
            if isinstance(item, _End):
                break
            found.append(item)
        return found

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        close = getattr(self._items, "aclose", None)  # a generator has it
        if close is not None:
            await close()

    def _begin(self) -> "asyncio.Task[T | _End]":
        task = asyncio.create_task(self._read())
        task.add_done_callback(_note_error)  # its reader may ask for no further item
        return task

    async def _read(self) -> "T | _End":
        return await anext(self._items, _End())


class _End:
    """Follows the last item."""


def _note_error(task: "asyncio.Task[Any]") -> None:
    """Take the error of a task, if it has one, so that asyncio does not report it as unseen."""
    if not task.cancelled():
        task.exception()


class Blocking:
    """Wraps an object of the asynchronous client. The subclasses have the methods."""

    def __init__(self, calls: BlockingCalls, original: object) -> None:
        self._calls = calls
        self._original = original

    @staticmethod
    def _original_of(argument: object) -> Any:
        """Return the object of the asynchronous client that an argument wraps, or the argument."""
        return argument._original if isinstance(argument, Blocking) else argument

    @staticmethod
    def _session_of(within: object) -> Any:
        """Return the session that `within` stands for in this thread. Raises InvalidInput."""
        return session_of_caller(within)


class Closing(Blocking):
    """Wraps the asynchronous client itself."""

    def close(self) -> None:
        """Close the connection. Calls and waits under way, and later ones, raise
        RuntimeUnavailable.

        To close it again changes nothing.
        """
        self._calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
