"""A transport that reconnects to its server."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from workflow_ray.errors import StoreUnavailable
from workflow_ray.runtime.ipc.client import PING, IpcTransport
from workflow_ray.runtime.ipc.methods import METHODS

_BACKOFF, _MAX_DOUBLINGS = 0.02, 6  # seconds, with jitter: 0.02 to 1.28


class Reconnecting:
    """A Transport that looks for the server's socket again whenever the connection breaks.

    It sends a call that was in flight again, byte for byte, until the call's deadline. A call of a
    method that is not repeatable raises StoreUnavailable instead. A call that was not sent yet
    waits for the connection, whatever its method.

    Args:
        find: Returns the socket's path. It is called before each attempt to connect. It raises
            StoreUnavailable while there is none, and is called again after a pause; any other error
            ends the calls that wait.
        ping: Seconds between pings.
    """

    def __init__(self, find: Callable[[], Awaitable[str]], *, ping: float = PING) -> None:
        self._find = find
        self._ping = ping
        self._transport: IpcTransport | None = None
        self._connecting = asyncio.Lock()
        # Attempts since a call was last answered. A connection does not reset them, so that a
        # server that accepts and breaks at once does not make this spin.
        self._attempts = 0
        self._failure = "not tried yet"
        self._closed = False

    async def call(self, method: str, body: bytes, *, deadline: float) -> bytes:
        """See Transport. The deadline includes the time that it takes to connect."""
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline
        while True:
            connection = await self._connected(end)
            try:
                answer = await connection.call(method, body, deadline=end - loop.time())
            except StoreUnavailable:
                # where the connection is not broken, the deadline is over
                if not METHODS[method].is_repeatable or not connection.is_broken:
                    raise
            else:
                self._attempts = 0
                return answer

    def close(self) -> None:
        """End the connection for good. Every call raises StoreUnavailable. Safe to repeat."""
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    async def _connected(self, end: float) -> IpcTransport:
        if self._transport is not None and not self._transport.is_broken:
            return self._transport
        try:
            # The calls that wait share one attempt.
            async with asyncio.timeout_at(end), self._connecting:
                while self._transport is None or self._transport.is_broken:
                    await self._connect()
                return self._transport
        except TimeoutError:
            raise StoreUnavailable("the store", f"no connection in time: {self._failure}") from None

    async def _connect(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store", "the connection was closed here")
        if self._attempts:
            await asyncio.sleep(
                _BACKOFF * 2 ** min(self._attempts - 1, _MAX_DOUBLINGS) * random.uniform(0.5, 1.0)
            )
        self._attempts += 1
        try:
            self._transport = await IpcTransport.connect(await self._find(), ping=self._ping)
        except StoreUnavailable as error:
            self._failure = str(error)
        else:
            if self._closed:
                self._transport.close()
