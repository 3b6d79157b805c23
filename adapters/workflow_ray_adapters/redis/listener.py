"""What others commit, as their scripts say it: one connection for all who wait in this process."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from redis.exceptions import RedisError

from workflow_ray_adapters.redis.address import CONNECTING
from workflow_ray_adapters.redis.server import Server

log = logging.getLogger(__name__)

QUIET = 5.0
"""Seconds without a hint after which everybody looks anew, and the connection is tried: the poll beneath the hints."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds between tries to connect
_names = msgspec.msgpack.Decoder(list[str])


class Listener:
    """Passes hints on. One that was missed while the connection was down is made up for by a hint to all once it is up again.

    It goes by the machine's clock, whatever the store's is: the server is real.
    """

    def __init__(self, server: Server, give: Callable[[Iterable[str]], None], give_all: Callable[[], None]) -> None:
        self._server, self._give, self._give_all = server, give, give_all

    async def run(self) -> None:
        """Until cancelled."""
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._subscribed() as subscription:
                    pause = FIRST_PAUSE
                    await self._listen(subscription)
            except (RedisError, OSError) as error:
                log.warning("%s: no hints at the moment (%s); connecting again in %.2f s", self._server.where, error, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    @asynccontextmanager
    async def _subscribed(self) -> AsyncGenerator[Any]:
        subscription = self._server.client.pubsub()
        try:
            async with asyncio.timeout(CONNECTING):
                await self._server.client.ping()  # one that still loads its data takes subscriptions, and answers no questions
                await subscription.subscribe(f"{self._server.address.base}:hints:{self._server.store_id}")
            yield subscription
        finally:
            await subscription.aclose()

    async def _listen(self, subscription: Any) -> None:
        """Until the connection breaks, or says nothing even when asked."""
        asked = False
        while True:
            message = await subscription.get_message(timeout=QUIET)
            if message is None and asked:
                raise TimeoutError("it says nothing")
            asked = message is None
            if message is None:
                await subscription.ping()
            if message is None or message["type"] == "subscribe":
                self._give_all()
            elif message["type"] == "message":
                self._give(_names.decode(message["data"]))
