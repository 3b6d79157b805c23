"""Frames on a byte stream: one connection carries many requests at once, in bounded frames."""

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple, cast

MAX_BODY = 64 * 1024 * 1024
"""Bytes of one request or answer."""
HIGH_WATER, LOW_WATER = 8 * 1024 * 1024, 2 * 1024 * 1024
"""Bytes that the other side has not read yet. Above the first, senders should wait until they are
below the second.
"""
_BUFFER = 64 * 1024  # bytes; a larger frame gets a buffer of its size while it arrives
_HEADER = struct.Struct("<IBQB")  # the body's length, the kind, the request, the name's length


class Kind(IntEnum):
    """What a frame is. The numbers travel: never change one."""

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
    request: int = 0  # chosen by the caller; the answer has the same
    name: str = ""  # of the method called
    body: bytes = b""


class Wire(asyncio.BufferedProtocol):
    """One end of a connection. Frames sent in one turn of the loop leave in one write, in order.

    Args:
        receive: Called with each frame, in order.
        lost: Called once with the reason when the connection ends.
        answers: Whether this is the server's side. It reads no further requests while the client
            does not read its answers. The client's side always reads, or both would wait.
    """

    def __init__(
        self,
        receive: Callable[[Frame], None],
        lost: Callable[[str], None],
        *,
        answers: bool = False,
    ) -> None:
        self._receive = receive
        self._lost = lost
        self._answers = answers
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._incoming = memoryview(bytearray(_BUFFER))
        self._filled = 0
        self._outgoing: list[bytes] = []
        self._outgoing_size = 0
        self._buffered = 0  # bytes in the transport's buffer at the last look
        # The transport's buffer has exceeded HIGH_WATER, and is not below LOW_WATER yet.
        self._paused = False
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False
        self._closed = asyncio.Event()
        self.has_received = True
        """Whether any byte has arrived since this was last set to False."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        if self._ended:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()
        self._end("the connection was closed" if exc is None else f"the connection broke ({exc})")

    def pause_writing(self) -> None:
        self._paused = True
        self._room.clear()
        if self._answers and self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._look_at_buffer()
        self._room.set()
        if self._answers and self._transport is not None:
            self._transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._incoming[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self.has_received = True
        self._filled += nbytes
        start = 0
        try:
            while not self._ended and start + (size := self._frame_size(start)) <= self._filled:
                self._receive(self._frame(start, start + size))
                start += size
            self._keep(start)
        except _NotAFrame as error:
            self.break_off(f"the other side sent something that is not a frame: {error}")

    def _frame_size(self, start: int) -> int:
        """Return the size in bytes of the frame at `start`, as far as it is known yet."""
        if self._filled - start < _HEADER.size:
            return _HEADER.size
        size, kind, _, name_size = _HEADER.unpack_from(self._incoming, start)
        if size > MAX_BODY or kind not in _KINDS:
            raise _NotAFrame(f"kind {kind}, {size} bytes, and at most {MAX_BODY} are allowed")
        return _HEADER.size + int(name_size) + int(size)

    def _frame(self, start: int, end: int) -> Frame:
        _, kind, request, name_size = _HEADER.unpack_from(self._incoming, start)
        name = start + _HEADER.size
        body = name + name_size
        return Frame(
            _KINDS[kind],
            request,
            str(self._incoming[name:body], "utf-8", "replace"),
            bytes(self._incoming[body:end]),
        )

    def _keep(self, start: int) -> None:
        """Make room for the frame that begins at `start`, and move its bytes to the front."""
        rest, size = self._incoming[start : self._filled], max(_BUFFER, self._frame_size(start))
        if start or size != len(self._incoming):
            room = self._incoming if size == len(self._incoming) else memoryview(bytearray(size))
            room[: len(rest)] = rest
            self._incoming, self._filled = room, len(rest)

    def send(self, frame: Frame) -> None:
        """Send a frame of at most MAX_BODY bytes; nothing if the connection has ended."""
        if self._ended:
            return
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        name = frame.name.encode()
        head = _HEADER.pack(len(frame.body), frame.kind, frame.request, len(name)) + name
        self._outgoing.append(head)
        self._outgoing.append(frame.body)
        self._outgoing_size += len(head) + len(frame.body)
        if self._outgoing_size + self._buffered > HIGH_WATER:
            self._room.clear()  # until `_flush`, if there is room then

    @property
    def unread(self) -> int:
        """How many bytes of the frames sent the other side has not read yet."""
        return self._outgoing_size + self._look_at_buffer()

    @property
    def has_room(self) -> bool:
        """Whether the other side keeps up. True once the connection has ended."""
        return self._room.is_set()

    async def room(self) -> None:
        """Wait until `has_room`."""
        await self._room.wait()

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        self._outgoing_size = 0
        if self._transport is not None and outgoing:
            self._transport.write(b"".join(outgoing))  # This may call pause_writing.
        self._look_at_buffer()
        if not self._paused:
            self._room.set()

    def _look_at_buffer(self) -> int:
        self._buffered = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._buffered

    def break_off(self, why: str) -> None:
        """End the connection now. Frames that were not sent yet are lost."""
        self._outgoing.clear()
        self._outgoing_size = 0
        if self._transport is not None:
            self._transport.abort()
        self._end(why)

    async def close(self) -> None:
        """Wait until all frames have left, and end the connection."""
        self._flush()
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()

    def _end(self, why: str) -> None:
        if not self._ended:
            self._ended = True
            self._room.set()  # Nobody needs to wait for a connection that has ended.
            self._lost(why)
