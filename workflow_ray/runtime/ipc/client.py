"""The client's side of IPC."""

import asyncio
import itertools
from typing import Self

from workflow_ray.errors import StoreUnavailable, WriteRejected
from workflow_ray.runtime.ipc.frames import MAX_BODY, Frame, Kind, Wire

PING = 1.0
"""Seconds between pings."""
MISSES = 3
"""Pings in a row without a byte from the server after which the connection counts as broken."""


class IpcTransport:
    """One connection to an IpcServer. Requests share it, and are answered in any order.

    When it breaks (end of file, missed pings, a protocol error), all calls in flight raise
    StoreUnavailable at once. A broken connection stays broken.
    """

    def __init__(self, path: str, ping: float) -> None:
        """Use `connect`."""
        self._path = path
        self._ping = ping
        self._loop = asyncio.get_running_loop()
        self._wire = Wire(self._receive, self._lost)
        # The first call that waits for room holds it. The others wait behind it, in order.
        self._sending = asyncio.Lock()
        self._requests = itertools.count(1)
        self._pending: dict[int, asyncio.Future[bytes]] = {}
        self._broken: str | None = None
        self._misses = 0
        self._next_ping: asyncio.TimerHandle | None = None

    @classmethod
    async def connect(cls, path: str, *, ping: float = PING) -> Self:
        """Connect to the socket `path`.

        Args:
            path: The socket's.
            ping: Seconds between pings.

        Raises:
            StoreUnavailable: No server listens there.
        """
        connection = cls(path, ping)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: connection._wire, path)
        except OSError as error:
            raise StoreUnavailable(
                path, f"no process serves the store there ({error.strerror})"
            ) from error
        connection._send_ping()
        return connection

    @property
    def is_broken(self) -> bool:
        return self._broken is not None

    async def call(self, method: str, body: bytes, *, deadline: float) -> bytes:
        """See Transport. A call that is cancelled here is also cancelled at the server.

        While the server does not read, calls wait, so that at most HIGH_WATER bytes and one more
        request are buffered here.
        """
        if len(body) > MAX_BODY:
            raise WriteRejected(
                f"{method} is called with {len(body)} bytes, and at most {MAX_BODY} can be sent;"
                " send fewer at once"
            )
        request = next(self._requests)
        try:
            async with asyncio.timeout(deadline):
                if self._wire.has_room and not self._sending.locked():
                    return await self._send(request, method, body)
                async with self._sending:
                    await self._wire.room()
                    answer = self._send(request, method, body)
                return await answer
        except TimeoutError:
            raise StoreUnavailable(
                self._path,
                f"the process that serves the store has not answered within {deadline:.3g} s"
                f" ({method}). Check whether it is suspended or overloaded.",
            ) from None
        finally:
            if self._pending.pop(request, None) is not None:
                self._wire.send(Frame(Kind.CANCEL, request))

    def _send(self, request: int, method: str, body: bytes) -> "asyncio.Future[bytes]":
        if self._broken is not None:
            raise StoreUnavailable(self._path, self._broken)
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._pending[request] = answer
        self._wire.send(Frame(Kind.CALL, request, method, body))
        return answer

    def close(self) -> None:
        """End the connection. Calls in flight raise StoreUnavailable. Safe to repeat."""
        self._wire.break_off("the connection was closed here")

    def _receive(self, frame: Frame) -> None:
        if frame.kind is Kind.ANSWER:
            answer = self._pending.pop(frame.request, None)  # None: it was cancelled
            if answer is not None and not answer.done():
                answer.set_result(frame.body)
        elif frame.kind is not Kind.PONG:
            self._wire.break_off("the other side is not a server")

    def _send_ping(self) -> None:
        # Pings are counted, not seconds: a loop that was blocked for a long time reads what has
        # arrived before it sends the next ping.
        self._misses = 0 if self._wire.has_received else self._misses + 1
        if self._misses >= MISSES:
            self._wire.break_off(f"the server didn't answer {MISSES} pings")
        else:
            self._wire.has_received = False
            self._wire.send(Frame(Kind.PING))
            self._next_ping = self._loop.call_later(self._ping, self._send_ping)

    def _lost(self, why: str) -> None:
        self._broken = why
        if self._next_ping is not None:
            self._next_ping.cancel()
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(StoreUnavailable(self._path, why))
        self._pending.clear()
