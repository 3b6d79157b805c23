"""Frames on a byte stream: many requests at once on one connection, each frame of bounded size."""

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple, cast

MAX_BODY = 64 * 1024 * 1024
"""Bytes of one request or answer."""
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


class Wire(asyncio.Protocol):
    """One end of a connection. Frames sent in one turn of the loop leave in one write, in order.

    receive: called with each frame, in order. lost: called once, with the reason, however the connection ends.
    """

    def __init__(self, receive: Callable[[Frame], None], lost: Callable[[str], None]) -> None:
        self._receive, self._lost = receive, lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._incoming = bytearray()
        self._outgoing: list[bytes] = []
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("the connection was closed" if exc is None else f"the connection broke ({exc})")

    def data_received(self, data: bytes) -> None:
        self._incoming += data
        try:
            while not self._ended and (frame := self._next()) is not None:
                self._receive(frame)
        except _NotAFrame as error:
            self.break_off(f"the other side sent what is no frame: {error}")

    def _next(self) -> Frame | None:
        """The first whole frame of what came, taken out of it."""
        if len(self._incoming) < _HEADER.size:
            return None
        size, number, request, name_size = _HEADER.unpack_from(self._incoming)
        if size > MAX_BODY or number not in _KINDS:
            raise _NotAFrame(f"kind {number}, {size} bytes, of which {MAX_BODY} are allowed")
        start = _HEADER.size + name_size
        end = start + size
        if len(self._incoming) < end:
            return None
        frame = Frame(
            _KINDS[number], request, self._incoming[_HEADER.size : start].decode(errors="replace"), bytes(self._incoming[start:end])
        )
        del self._incoming[:end]
        return frame

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

    def close(self) -> None:
        """End the connection once what was sent is on its way."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _end(self, why: str) -> None:
        if not self._ended:
            self._ended = True
            self._lost(why)
