"""A proxy for connections to a server, which breaks them when a test says so."""

import asyncio
import math
from contextlib import suppress
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"
CHUNK = 1024 * 1024


class FaultyProxy:
    """Forwards TCP connections to a server until a test cuts them or holds their messages back.

    A message is what one read from a client returns. A database's client waits for each answer
    within a transaction, so that each of its requests is one message, if it is smaller than about
    64 KiB. The messages of all connections are counted together.

    Args:
        host: The server's.
        port: The server's.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        # The port is chosen when the proxy opens.
        self.host = LOOPBACK
        self.port = 0
        self.messages = 0
        """Messages forwarded to the server since the proxy opened."""
        self._passing = math.inf  # messages to forward before the cut or the hold
        self._cutting = False  # whether a cut or a hold follows them
        self._held = asyncio.Event()
        self._healed = asyncio.Event()
        self._connections: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut_after(self, messages: int) -> None:
        """End all connections after some more messages, and refuse new ones.

        Args:
            messages: How many messages the server still gets.
        """
        self._passing, self._cutting = messages, True
        self._cut_if_due()

    def hold_after(self, messages: int) -> None:
        """Hold the clients' messages back after some more of them.

        Messages of the server are still forwarded.

        Args:
            messages: How many messages the server still gets.
        """
        self._passing, self._cutting = messages, False
        self._held.clear()
        self._healed.clear()

    async def held(self) -> None:
        """Wait until a message is held back."""
        await self._held.wait()

    def heal(self) -> None:
        """Forward all messages again. Those that were held back come first."""
        self._passing, self._cutting = math.inf, False
        self._healed.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task"
        self._connections[task] = (writer,)
        try:
            if not self._is_cut:
                await self._connect(task, reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # One side has left, or the proxy closes. It looks the same to the other side.
        finally:
            self._end(self._connections.pop(task))

    async def _connect(
        self, task: asyncio.Task[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        self._connections[task] = (writer, server_writer)
        back = asyncio.create_task(_forward(server_reader, writer))
        forth = asyncio.create_task(self._forward_messages(reader, server_writer))
        try:
            await asyncio.wait({back, forth}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            back.cancel()
            forth.cancel()
            await asyncio.gather(back, forth, return_exceptions=True)

    async def _forward_messages(
        self, client: asyncio.StreamReader, server: asyncio.StreamWriter
    ) -> None:
        while message := await client.read(CHUNK):
            if self._passing:
                self._passing -= 1
            else:
                self._held.set()
                await self._healed.wait()
            server.write(message)
            await server.drain()
            self.messages += 1
            self._cut_if_due()

    @property
    def _is_cut(self) -> bool:
        return self._cutting and not self._passing

    def _cut_if_due(self) -> None:
        if self._is_cut:
            for ends in self._connections.values():
                self._end(ends)

    def _end(self, ends: tuple[asyncio.StreamWriter, ...]) -> None:
        client, *server = ends
        client.transport.abort()
        for writer in server:
            with suppress(OSError):
                writer.close()  # It is not aborted, so that the messages sent to it arrive.


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
