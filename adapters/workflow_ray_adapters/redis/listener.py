"""Receives notifications: one connection for every wait of this process."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from redis.exceptions import RedisError

from workflow_ray.errors import WorkflowError
from workflow_ray_adapters.redis.address import CONNECTING
from workflow_ray_adapters.redis.notifications import Notifications
from workflow_ray_adapters.redis.scripts import NOTIFIED
from workflow_ray_adapters.redis.server import Server

log = logging.getLogger(__name__)

QUIET = 5.0
"""Seconds without a notification after which it is asked whether one was missed: the poll beneath
the notifications, one for all who wait in this process.
"""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds between attempts to connect
_notification = msgspec.msgpack.Decoder(tuple[int, list[str]])


class Listener:
    """Passes notifications on.

    They are numbered: if one was missed, every wait looks again. Times are by the machine's clock,
    whatever the store's clock is, because the server is real.
    """

    def __init__(self, server: Server, notifications: Notifications) -> None:
        self._server = server
        self._notifications = notifications
        self._last: int | None = None  # the number of the last notification; None: unknown

    async def run(self) -> None:
        """Listen until cancelled."""
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._subscribe() as subscription:
                    pause = FIRST_PAUSE
                    await self._listen(subscription)
            except (RedisError, OSError, WorkflowError) as error:
                log.warning(
                    "%s: no notifications at the moment (%s); connecting again in %.2f s",
                    self._server.where,
                    error,
                    pause,
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    @asynccontextmanager
    async def _subscribe(self) -> AsyncGenerator[Any]:
        subscription = self._server.client.pubsub()
        try:
            async with asyncio.timeout(CONNECTING):
                # A server that still loads its data accepts subscriptions, but answers no calls.
                await self._server.client.ping()
                await subscription.subscribe(
                    f"{self._server.address.base}:notifications:{self._server.store_id}"
                )
            yield subscription
        finally:
            await subscription.aclose()

    async def _listen(self, subscription: Any) -> None:
        """Listen until the connection breaks, or does not even answer a ping."""
        asked = False
        while True:
            message = await subscription.get_message(timeout=QUIET)
            if message is None and asked:
                raise TimeoutError("it says nothing")
            asked = message is None
            if message is None:
                await subscription.ping()
            if message is None or message["type"] == "subscribe":
                self._catch_up(int(await self._server.call(NOTIFIED)))
            elif message["type"] == "message":
                number, names = _notification.decode(message["data"])
                self._catch_up(number - 1)
                self._last = number
                self._notifications.notify(names)

    def _catch_up(self, number: int) -> None:
        """Wake every wait, unless the server's last notification was received.

        A notification right after the subscription may be received twice, or be ahead of its
        number. That is harmless.
        """
        if self._last != number:
            self._last = number
            self._notifications.notify_all()
