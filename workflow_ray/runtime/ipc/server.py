"""The server's side of IPC: the process that owns the store."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Self, assert_never

from workflow_ray.errors import StoreBusy, StoreError, StoreUnavailable
from workflow_ray.ports import Store
from workflow_ray.runtime.ipc.answers import refusal
from workflow_ray.runtime.ipc.bounds import DEFAULT, Bounds, Load
from workflow_ray.runtime.ipc.dispatch import answer
from workflow_ray.runtime.ipc.frames import MAX_BODY, Frame, Kind, Wire
from workflow_ray.runtime.ipc.methods import METHODS
from workflow_ray.runtime.ipc.served import Process, Served, no_status

BACKLOG = 1024  # asyncio takes a connection that waits in a full backlog for an accepted one
SMALL = 1024
"""Bytes of an answer that is never dropped, because the error in its place is not smaller."""


class IpcServer:
    """Serves a store on a Unix socket, each request in a task of its own.

    `async with` closes it at the end. A request beyond the bounds is answered with StoreBusy. While
    a client does not read its answers, the server neither reads nor begins further requests of this
    client. If there is not enough room for the answer to a request that was begun earlier, the
    answer is dropped: its caller gets StoreUnavailable, and may repeat the call.
    """

    def __init__(
        self, store: Store, *, bounds: Bounds = DEFAULT, process: Process = no_status
    ) -> None:
        self._served = Served(store, process)
        self._bounds = bounds
        self._load = Load()
        self._listener: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._path = Path()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self, path: str) -> None:
        """Listen on the socket `path`, and replace one that a dead process has left there.

        A process that can open the socket can do anything to the store. So the socket belongs in a
        folder of mode 0700.

        Raises OSError.
        """
        self._path = Path(path)
        self._listener = await asyncio.get_running_loop().create_unix_server(
            self._accept, path, backlog=BACKLOG
        )

    async def close(self, *, drain: float = 5.0) -> None:
        """Stop listening, answer the requests that were begun, and close every connection.

        Long polls are cancelled, and requests that arrive meanwhile are not begun: their callers
        see a broken connection, and may repeat. Safe to repeat.

        Args:
            drain: Seconds for the requests that were begun. After that they are cancelled.
        """
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        listener.close()
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain):
                await asyncio.gather(*(connection.finish() for connection in self._connections))
        await asyncio.gather(*(connection.abandon() for connection in list(self._connections)))
        await listener.wait_closed()

    def _accept(self) -> Wire:
        connection = _Connection(self._served, self._bounds, self._load, self._connections.discard)
        self._connections.add(connection)
        return connection.wire


class _Connection:
    """One client's connection. Its unanswered requests are cancelled when it ends."""

    def __init__(
        self, served: Served, bounds: Bounds, total: Load, ended: Callable[["_Connection"], None]
    ) -> None:
        self._served = served
        self._bounds = bounds
        self._total = total
        self._load = Load()
        self._ended = ended
        self.wire = Wire(self._receive, self._lost, answers=True)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._polls: set[int] = set()
        self._finishing = False

    async def finish(self) -> None:
        """Begin no request, cancel long polls, answer the others, and close the connection."""
        self._finishing = True
        for request in self._polls:
            self._tasks[request].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        await self.wire.close()

    async def abandon(self) -> None:
        """Break the connection now, and wait until its requests have been cancelled."""
        tasks = list(self._tasks.values())
        self.wire.break_off("the server stops")
        if tasks:
            await asyncio.wait(tasks)

    def _receive(self, frame: Frame) -> None:
        match frame.kind:
            case Kind.CALL:
                self._call(frame)
            case Kind.CANCEL:
                if task := self._tasks.get(frame.request):
                    task.cancel()
            case Kind.PING:
                self.wire.send(Frame(Kind.PONG))
            case Kind.ANSWER | Kind.PONG:
                self.wire.break_off("a client sent an answer")
            case _:
                assert_never(frame.kind)

    def _call(self, frame: Frame) -> None:
        if self._finishing:
            # It stays unanswered. The client sees the end of the connection, and may ask the next
            # server.
            pass
        elif frame.request in self._tasks:
            self.wire.break_off("a client gave two requests the same number")
        elif not self._may_begin(len(frame.body)):
            why = (
                f"it works on {self._load} of this connection, and on {self._total} in all; try"
                " again in a moment"
            )
            self.wire.send(
                Frame(Kind.ANSWER, frame.request, body=refusal(StoreBusy("the store", why)))
            )
        else:
            self._begin(frame)

    def _may_begin(self, size: int) -> bool:
        bounds, load, total = self._bounds, self._load, self._total
        if load.requests >= bounds.requests_per_connection or total.requests >= bounds.requests:
            return False
        return load.size + size <= bounds.size_per_connection and total.size + size <= bounds.size

    def _begin(self, frame: Frame) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(frame))
        self._tasks[frame.request] = task
        if frame.name in METHODS and METHODS[frame.name].is_long_poll:
            self._polls.add(frame.request)
        size = len(frame.body)
        self._load.add(size)
        self._total.add(size)
        task.add_done_callback(lambda _: self._end(frame.request, size))

    async def _serve(self, frame: Frame) -> None:
        # Requests that arrived with the last read wait here too.
        while not self.wire.has_room:
            await self.wire.room()
        body = await answer(self._served, frame.name, frame.body)
        self.wire.send(Frame(Kind.ANSWER, frame.request, body=self._sendable(frame.name, body)))

    def _sendable(self, method: str, body: bytes) -> bytes:
        """Return the answer, or an error in its place if it can't be sent."""
        size, unread = len(body), self.wire.unread
        if size > MAX_BODY:
            why = (
                f"the answer to {method} has {size} bytes, and at most {MAX_BODY} can be sent; ask"
                " for fewer at once"
            )
            return refusal(StoreError("the store", why))
        if size > SMALL and unread and unread + size > self._bounds.unread:
            why = (
                f"the answer to {method} of {size} bytes was dropped: {unread} bytes of earlier"
                " answers are unread; try again in a moment"
            )
            return refusal(StoreUnavailable("the store", why))
        return body

    def _end(self, request: int, size: int) -> None:
        del self._tasks[request]
        self._polls.discard(request)
        self._load.remove(size)
        self._total.remove(size)

    def _lost(self, why: str) -> None:
        self._ended(self)
        for task in self._tasks.values():
            task.cancel()
