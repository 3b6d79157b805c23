"""Frames on a byte stream: many requests at once on one connection, each frame of bounded size."""

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple, cast

MAX_BODY = 64 * 1024 * 1024
"""Bytes of one request or answer."""
_BUFFER = 64 * 1024  # bytes; a larger frame gets a buffer of its size while it comes
_HEADER = struct.Struct("<IBQB")  # the body's length, the kind, the request, the name's length


class Kind(IntEnum):
    CALL = 1
    ANSWER = 2
    CANCEL = 3
    PING = 4
    PONG = 5


_KINDS = {kind.value: kind for kind in Kind}


class _NotAFrame(Exception):
    pass


class Frame(NamedTuple):
    kind: Kind
    request: int = 0  # chosen by the caller; its answer bears it too
    name: str = ""  # of the method called
    body: bytes = b""


class Wire(asyncio.BufferedProtocol):
    """One end of a connection. Frames sent in one turn of the loop leave in one write, in order.

    receive: called with each frame, in order. lost: called once, with the reason, however the connection ends.
    """

    def __init__(self, receive: Callable[[Frame], None], lost: Callable[[str], None]) -> None:
        self._receive, self._lost = receive, lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._incoming = memoryview(bytearray(_BUFFER))
        self._filled = 0
        self._outgoing: list[bytes] = []
        self._ended = False
        self._closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._ended:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()
        self._end("the connection was closed" if exc is None else f"the connection broke ({exc})")

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._incoming[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        start = 0
        try:
            while not self._ended and start + (size := self._frame_size(start)) <= self._filled:
                self._receive(self._frame(start, start + size))
                start += size
            self._keep(start)
        except _NotAFrame as error:
            self.break_off(f"the other side sent what is no frame: {error}")

    def _frame_size(self, start: int) -> int:
        """Bytes of the frame that begins at `start`, as far as is known yet."""
        if self._filled - start < _HEADER.size:
            return _HEADER.size
        size, kind, _, name_size = _HEADER.unpack_from(self._incoming, start)
        if size > MAX_BODY or kind not in _KINDS:
            raise _NotAFrame(f"kind {kind}, {size} bytes where {MAX_BODY} are allowed")
        return _HEADER.size + int(name_size) + int(size)

    def _frame(self, start: int, end: int) -> Frame:
        _, kind, request, name_size = _HEADER.unpack_from(self._incoming, start)
        name = start + _HEADER.size
        body = name + name_size
        return Frame(_KINDS[kind], request, str(self._incoming[name:body], "utf-8", "replace"), bytes(self._incoming[body:end]))

    def _keep(self, start: int) -> None:
        """Make room for the frame that begins at `start`, and move what came of it to the front."""
        rest, size = self._incoming[start : self._filled], max(_BUFFER, self._frame_size(start))
        if start or size != len(self._incoming):
            room = self._incoming if size == len(self._incoming) else memoryview(bytearray(size))
            room[: len(rest)] = rest
            self._incoming, self._filled = room, len(rest)

    def send(self, frame: Frame) -> None:
        """Send a frame whose body is at most MAX_BODY. After the connection's end: does nothing."""
        if self._ended:
            return
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        name = frame.name.encode()
        self._outgoing.append(_HEADER.pack(len(frame.body), frame.kind, frame.request, len(name)) + name)
        self._outgoing.append(frame.body)

    def _flush(self) -> None:
        if self._transport is not None and self._outgoing:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def break_off(self, why: str) -> None:
        """End the connection now; what wasn't sent yet is lost."""
        self._outgoing.clear()
        if self._transport is not None:
            self._transport.abort()
        self._end(why)

    async def close(self) -> None:
        """End the connection once all that was sent has left; returns then."""
        self._flush()
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()

    def _end(self, why: str) -> None:
        if not self._ended:
            self._ended = True
            self._lost(why)
