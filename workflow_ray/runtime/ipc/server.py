"""The side of IPC that owns the store."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self, assert_never

from workflow_ray.errors import StoreBusy, StoreError
from workflow_ray.ports import Store
from workflow_ray.runtime.ipc.answers import refusal
from workflow_ray.runtime.ipc.frames import MAX_BODY, Frame, Kind, Wire
from workflow_ray.runtime.ipc.methods import METHODS, answer

BACKLOG = 1024  # a full one looks to asyncio like a connection made


class IpcServer:
    """Serves a store on a Unix socket, each request in a task of its own. `async with` closes it at the end.

    per_connection, in_all: how many requests may be in hand, long polls included; one more is answered with StoreBusy.
    """

    def __init__(self, store: Store, *, per_connection: int = 8192, in_all: int = 32768) -> None:
        self._store, self._bounds = store, _Bounds(per_connection, in_all)
        self._listener: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._path = Path()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self, path: str) -> None:
        """Listen on the socket `path`; one left there by a dead process is replaced. Raises OSError.

        Whoever can open the socket can do anything to the store: it belongs in a folder of mode 0700.
        """
        self._path = Path(path)
        self._listener = await asyncio.get_running_loop().create_unix_server(self._accept, path, backlog=BACKLOG)

    async def close(self, *, drain: float = 5.0) -> None:
        """Stop listening, finish the requests in hand for up to `drain` seconds, and leave. Safe to repeat.

        Long polls are cut short, and what comes meanwhile isn't begun: their callers see a break, and may repeat.
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
        connection = _Connection(self._store, self._bounds, self._connections.discard)
        self._connections.add(connection)
        return connection.wire


@dataclass
class _Bounds:
    per_connection: int
    in_all: int
    in_hand: int = 0


class _Connection:
    """One client's requests in hand. They end with it: nobody is left to answer."""

    def __init__(self, store: Store, bounds: _Bounds, gone: Callable[["_Connection"], None]) -> None:
        self._store, self._bounds, self._gone = store, bounds, gone
        self.wire = Wire(self._receive, self._lost)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._polls: set[int] = set()
        self._finishing = False

    async def finish(self) -> None:
        """Begin nothing more, cut short what only waits, and leave once the rest is answered."""
        self._finishing = True
        for request in self._polls:
            self._tasks[request].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        await self.wire.close()

    async def abandon(self) -> None:
        """Leave at once, once what is in hand has heard of it."""
        tasks = list(self._tasks.values())
        self.wire.break_off("the server leaves")
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
        bounds, in_hand = self._bounds, len(self._tasks)
        if self._finishing:
            pass  # unanswered: the connection's end tells the client, and it may ask the next server
        elif frame.request in self._tasks:
            self.wire.break_off("a client gave two requests one number")
        elif in_hand >= bounds.per_connection or bounds.in_hand >= bounds.in_all:
            why = f"it has {in_hand} requests of this connection in hand and {bounds.in_hand} in all; try again in a moment"
            self._reply(frame.request, refusal(StoreBusy("the store", why)))
        else:
            self._begin(frame)

    def _begin(self, frame: Frame) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(frame))
        self._tasks[frame.request] = task
        if frame.name in METHODS and METHODS[frame.name].waits:
            self._polls.add(frame.request)
        self._bounds.in_hand += 1
        task.add_done_callback(lambda _: self._end(frame.request))

    async def _serve(self, frame: Frame) -> None:
        self._reply(frame.request, await answer(self._store, frame.name, frame.body))

    def _reply(self, request: int, body: bytes) -> None:
        if len(body) > MAX_BODY:
            body = refusal(
                StoreError("the store", f"the answer has {len(body)} bytes, and {MAX_BODY} can be carried; ask for fewer at once")
            )
        self.wire.send(Frame(Kind.ANSWER, request, body=body))

    def _end(self, request: int) -> None:
        del self._tasks[request]
        self._polls.discard(request)
        self._bounds.in_hand -= 1

    def _lost(self, why: str) -> None:
        self._gone(self)
        for task in self._tasks.values():
            task.cancel()
