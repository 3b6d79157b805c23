"""A database behind a network at work: one connection writes, a few read beside it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from workflow_ray.errors import StoreReadOnly, StoreUnavailable
from workflow_ray_adapters.sql.database import Aborted
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.pace import Pace
from workflow_ray_adapters.sql.session import Session

T = TypeVar("T")
CONNECTING = 3.0
"""Seconds to wait for a new connection."""
DEADLINE = 20.0
"""Seconds after which a transaction's connection is given up."""
READERS = 4


@dataclass(frozen=True)
class Access:
    """How a server is reached. The engines connect when they are first used, and again when a
    connection has broken.
    """

    url: str  # canonical, without secrets
    writer: AsyncEngine  # READ COMMITTED: what a transaction finds is locked where that matters
    readers: AsyncEngine  # each transaction reads one snapshot
    dialect: Dialect
    reading: Dialect  # the same, without locks
    translate_errors: Callable[[str], AbstractContextManager[None]]
    """Raises the ports' errors, or Aborted, in place of the driver's. Its argument is the store's
    name.
    """
    is_broken: Callable[[Any], bool]  # of a driver's connection
    # ends a driver's connection at once, without a message to the server; what waits for it fails
    abort: Callable[[Any], None]


class ServerDatabase(ABC):
    """A Database, except for how processes notify each other."""

    def __init__(self, access: Access) -> None:
        self.url = access.url
        self.where = access.url
        self._access = access
        self._writer = Connections(access.writer, 1)
        self._readers = Connections(access.readers, READERS)
        self._running = set[asyncio.Task[Any]]()
        self._closed = False
        for connections in (self._writer, self._readers):
            event.listen(connections.engine.sync_engine, "checkout", self._refuse_broken)

    async def write(self, work: Callable[[Session], T]) -> T:
        def transact(connection: Connection) -> T:
            with connection.begin():
                return work(Session(connection, self._access.dialect))

        return await self._run(self._writer, transact)

    async def read(self, work: Callable[[Session], T], *, brief: bool = False) -> T:
        def look(connection: Connection) -> T:
            with connection.begin():
                return work(Session(connection, self._access.reading))

        try:
            return await self._run(self._readers, look)
        except Aborted as error:  # for example by a standby that has to catch up
            raise StoreUnavailable(
                self.where, f"it gave up a read ({error}). Try again."
            ) from error

    @abstractmethod
    async def notified(self, pace: Pace) -> Notification: ...

    @abstractmethod
    async def is_served(self) -> bool: ...

    async def close(self) -> None:
        """Close the connections, after waiting for what is running."""
        self._closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        for connections in (self._writer, self._readers):
            await connections.engine.dispose()

    async def _run(self, connections: "Connections", work: Callable[[Connection], T]) -> T:
        """Run the work. If the caller gives up, the transaction ends by itself, because an
        interrupted one would cost its connection.
        """
        if self._closed:
            raise StoreUnavailable(self.where, "it is closed.")
        running = asyncio.create_task(self._transact(connections, work))
        self._running.add(running)
        running.add_done_callback(self._ended)
        return await asyncio.shield(running)

    def _ended(self, running: asyncio.Task[Any]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # retrieve the error, whether or not anybody still waits for it

    async def _transact(self, connections: "Connections", work: Callable[[Connection], T]) -> T:
        with self._access.translate_errors(self.where):
            async with connections.one() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                loop = asyncio.get_running_loop()
                deadline = loop.call_later(DEADLINE, self._access.abort, driver)
                try:
                    with self._access.translate_errors(self.where):
                        return await connection.run_sync(work)
                except BaseException as error:
                    # after a failover another server can write
                    if self._access.is_broken(driver) or isinstance(error, StoreReadOnly):
                        await connection.invalidate()
                    if deadline.when() <= loop.time():
                        raise TimeoutError from error
                    raise
                finally:
                    deadline.cancel()

    def _refuse_broken(self, connection: Any, *_: object) -> None:
        """Replace a connection that broke while nobody used it."""
        if self._access.is_broken(connection.driver_connection):
            raise DisconnectionError


class Connections:
    """Connections that do the same work. A caller that finds none free waits for one, up to
    DEADLINE.
    """

    def __init__(self, engine: AsyncEngine, count: int) -> None:
        self.engine = engine
        self._free = asyncio.Semaphore(count)

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[AsyncConnection]:
        async with asyncio.timeout(DEADLINE):
            await self._free.acquire()
        try:
            async with asyncio.timeout(CONNECTING):
                connection = await self.engine.connect()
            try:
                yield connection
            finally:
                await connection.close()
        finally:
            self._free.release()
