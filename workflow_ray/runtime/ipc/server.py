"""The side of IPC that owns the store."""

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

BACKLOG = 1024  # asyncio takes a full backlog for a connection that was made
SMALL = 1024
"""Bytes of an answer that is never dropped: so many are no more than the error that would take its
place.
"""


class IpcServer:
    """Serves a store on a Unix socket, each request in a task of its own. `async with` closes it at
    the end.

    A request beyond the bounds is answered with StoreBusy. While a client does not read its
    answers, none of its further requests is read or begun. An answer to what was begun before is
    dropped if it finds no room: its caller gets StoreUnavailable, and may repeat.
    """

    def __init__(self, store: Store, *, bounds: Bounds = DEFAULT) -> None:
        self._store = store
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
        """Listen on the socket `path`; one left there by a dead process is replaced. Raises
        OSError.

        Whoever can open the socket can do anything to the store: it belongs in a folder of mode
        0700.
        """
        self._path = Path(path)
        self._listener = await asyncio.get_running_loop().create_unix_server(
            self._accept, path, backlog=BACKLOG
        )

    async def close(self, *, drain: float = 5.0) -> None:
        """Stop listening, finish the requests in hand for up to `drain` seconds, and close every
        connection. Safe to repeat.

        Long polls are cut short, and what comes meanwhile isn't begun: their callers see a break,
        and may repeat.
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
        connection = _Connection(self._store, self._bounds, self._load, self._connections.discard)
        self._connections.add(connection)
        return connection.wire


class _Connection:
    """One client's connection, and its requests in hand. These are cancelled when it ends."""

    def __init__(
        self, store: Store, bounds: Bounds, in_all: Load, gone: Callable[["_Connection"], None]
    ) -> None:
        self._store = store
        self._bounds = bounds
        self._in_all = in_all
        self._load = Load()
        self._gone = gone
        self.wire = Wire(self._receive, self._lost, answers=True)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._polls: set[int] = set()
        self._finishing = False

    async def finish(self) -> None:
        """Begin no further request, cancel long polls, and close the connection once the others are
        answered.
        """
        self._finishing = True
        for request in self._polls:
            self._tasks[request].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        await self.wire.close()

    async def abandon(self) -> None:
        """Break the connection now, and wait until the requests in hand have been cancelled."""
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
            # unanswered: the connection's end tells the client, and it may ask the next server
            pass
        elif frame.request in self._tasks:
            self.wire.break_off("a client gave two requests one number")
        elif not self._may_begin(len(frame.body)):
            why = (
                f"it has {self._load} of this connection in hand, and {self._in_all} in all; try"
                " again in a moment"
            )
            self.wire.send(
                Frame(Kind.ANSWER, frame.request, body=refusal(StoreBusy("the store", why)))
            )
        else:
            self._begin(frame)

    def _may_begin(self, size: int) -> bool:
        bounds, mine, in_all = self._bounds, self._load, self._in_all
        if mine.requests >= bounds.requests_per_connection or in_all.requests >= bounds.requests:
            return False
        return mine.size + size <= bounds.size_per_connection and in_all.size + size <= bounds.size

    def _begin(self, frame: Frame) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(frame))
        self._tasks[frame.request] = task
        if frame.name in METHODS and METHODS[frame.name].is_long_poll:
            self._polls.add(frame.request)
        size = len(frame.body)
        self._load.add(size)
        self._in_all.add(size)
        task.add_done_callback(lambda _: self._end(frame.request, size))

    async def _serve(self, frame: Frame) -> None:
        while not self.wire.has_room:  # what came with the last read is not begun either
            await self.wire.room()
        body = await answer(self._store, frame.name, frame.body)
        self.wire.send(Frame(Kind.ANSWER, frame.request, body=self._carried(frame.name, body)))

    def _carried(self, method: str, body: bytes) -> bytes:
        """The answer, or, where it can't be sent, the error that says so."""
        size, unread = len(body), self.wire.unread
        if size > MAX_BODY:
            why = (
                f"the answer to {method} has {size} bytes, and {MAX_BODY} can be carried; ask for"
                " fewer at once"
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
        self._in_all.remove(size)

    def _lost(self, why: str) -> None:
        self._gone(self)
        for task in self._tasks.values():
            task.cancel()
