"""`redis://host:port/db?prefix=shop`: one store per prefix.

A store holds records, events and timeouts, or some of them.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from workflow_ray.ports import Clock
from workflow_ray_adapters.redis import lock, site
from workflow_ray_adapters.redis.address import parse
from workflow_ray_adapters.redis.server import connect
from workflow_ray_adapters.redis.store import RedisStore


class RedisAdapter:
    """A RecordsAdapter, EventsAdapter and TimeoutsAdapter for one primary of Redis 7 or later.

    docs/redis.md says what a crash or a failover of the server can lose, depending on its settings.
    """

    shared = True

    def canonical(self, url: str) -> str:
        return str(parse(url))

    def create(self, url: str) -> str:
        return site.make(parse(url))

    def open_records(
        self,
        url: str,
        *,
        clock: Clock,
        store_id: str | None = None,
        exclusive: bool = True,
        patience: float = 5.0,
    ) -> AbstractAsyncContextManager[RedisStore]:
        return self._open(url, clock, store_id, patience if exclusive else None)

    def open_events(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[RedisStore]:
        return self._open(url, clock)

    def open_timeouts(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[RedisStore]:
        return self._open(url, clock)

    @asynccontextmanager
    async def _open(
        self, url: str, clock: Clock, store_id: str | None = None, patience: float | None = None
    ) -> AsyncGenerator[RedisStore]:
        """Open a store.

        Args:
            patience: Seconds to wait until it can be had exclusively; None: it is shared.
        """
        address = parse(url)
        found = await asyncio.to_thread(site.check, address, store_id)
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(connect(address, found))
            if patience is not None:
                await stack.enter_async_context(lock.hold(server, patience))
            yield await stack.enter_async_context(RedisStore(server, clock).serve())
