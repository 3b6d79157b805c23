"""The connection beside the ones that work. It passes on notifications, holds the lock of the
process that serves the store, and ends sessions whose client has stopped.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Executable, func, literal, select
from sqlalchemy.ext.asyncio import AsyncEngine

from workflow_ray.errors import AccessDenied, StoreError, StoreInUse
from workflow_ray_adapters.sql.notifications import ALL, Notification
from workflow_ray_adapters.sql.postgresql.channel import Channel
from workflow_ray_adapters.sql.postgresql.connections import PAUSE
from workflow_ray_adapters.sql.postgresql.faults import translate_errors
from workflow_ray_adapters.sql.postgresql.sessions import end_stalled
from workflow_ray_adapters.sql.server.database import CONNECTING

log = logging.getLogger(__name__)

TEST = 5.0
"""Seconds between tests whether notifications arrive, and between looks for sessions whose client
has stopped.
"""
ARRIVAL = 2.0
"""Seconds that a test may take."""
POLL = 5.0
"""Seconds between polls while notifications arrive: a process may die between its commit and its
notification.
"""
DEAF_POLL = 0.25
"""Seconds between polls while notifications do not arrive."""
REST = 0.005
"""Seconds in which further notifications are collected after one."""
RECONNECT = 1.0
"""Seconds between tries for a new connection."""
RETRY = 0.02
"""Seconds between tries for the lock."""
PATIENCE = 5.0
"""Seconds for a statement, before the connection counts as broken."""
LOCK = (func.hashtext("workflow_ray is served"), func.hashtext(func.current_schema()))


class Watch:
    """A connection that is opened again whenever it breaks: anything may have changed meanwhile."""

    def __init__(self, engine: AsyncEngine, where: str, channel: str, *, exclusive: bool) -> None:
        self._engine = engine
        self._where = where
        self._exclusive = exclusive
        self._channel = Channel(channel)
        self._test_channel = f"workflow_ray_test_{uuid4().hex}"
        self._arrived = asyncio.Event()  # the notification that this connection sent to itself
        self._is_deaf = False
        self._polled = monotonic()
        self._leaving = asyncio.Event()

    @asynccontextmanager
    async def opened(self, patience: float) -> AsyncGenerator[None]:
        """Keep the connection open. Waits up to `patience` seconds for another holder of the lock
        to release it. Raises StoreInUse.
        """
        await self._connect(patience)
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            # it is not cancelled: an interrupted statement would cost the connection
            self._leaving.set()
            self._channel.has_something.set()
            try:
                await keeping
            finally:
                await self._unlock()
                await self._leave()

    def tell(self, notification: Notification) -> None:
        """Notify other processes, soon."""
        self._channel.tell(notification)

    async def notified(self) -> Notification:
        """Wait until others have sent something, or a poll is due. Notifications that arrive do not
        put off the poll for one that was lost.
        """
        if self._is_deaf:
            await asyncio.sleep(DEAF_POLL)
            return Notification(unnamed=ALL)
        notification = await self._channel.receive_others(self._polled + POLL - monotonic())
        if monotonic() >= self._polled + POLL:
            self._polled = monotonic()
            notification.add(Notification(unnamed=ALL))
        return notification

    # --- the connection -------------------------------------------------------------------------

    async def _connect(self, patience: float) -> None:
        with translate_errors(self._where):
            async with asyncio.timeout(CONNECTING):
                self._connection = await self._engine.connect()
            try:
                driver: Any = (await self._connection.get_raw_connection()).driver_connection
                await driver.add_listener(self._channel.name, self._channel.hear)
                await driver.add_listener(self._test_channel, self._test_arrived)
                await self._lock(patience)
            except BaseException:
                await self._leave()
                raise

    def _test_arrived(self, *_: object) -> None:
        self._arrived.set()

    async def _lock(self, patience: float) -> None:
        deadline = monotonic() + patience
        while self._exclusive and not await self._ask(func.pg_try_advisory_lock(*LOCK)):
            if monotonic() >= deadline:
                raise StoreInUse(
                    self._where, "another process serves it. Stop that one first, or attach to it."
                )
            await asyncio.sleep(RETRY)

    async def _unlock(self) -> None:
        """Release the lock. It is free when this returns: the server notices late that a connection
        is closed.
        """
        if self._exclusive and not self._connection.closed:
            with suppress(StoreError):  # the connection is gone, and the lock with it
                await self._ask(func.pg_advisory_unlock(*LOCK))

    async def _leave(self) -> None:
        if self._connection.closed:
            return
        if not self._connection.invalidated:
            driver: Any = (await self._connection.get_raw_connection()).driver_connection
            driver.terminate()  # at once: a server that hangs would not answer
            await self._connection.invalidate()
        await self._connection.close()

    async def _keep(self) -> None:
        """Keep the connection until the block ends, whatever happens to it."""
        while not self._leaving.is_set():
            try:
                await self._follow()
            except Exception as error:
                unexpected = None if isinstance(error, StoreError) else error
                log.warning(
                    "%s; until it answers again, other processes' commits are noticed late",
                    error,
                    exc_info=unexpected,
                )
                self._become_deaf()
                with suppress(Exception):  # it is broken anyway
                    await self._leave()
                await self._come_back()

    async def _follow(self) -> None:
        """Send and test until the connection breaks."""
        tested = monotonic()
        while not self._leaving.is_set():
            if await self._something(tested + TEST - monotonic()):
                await self._send()
                await asyncio.sleep(REST)
            if monotonic() >= tested + TEST:
                await self._test()
                await self._end_stalled()
                tested = monotonic()

    async def _something(self, wait: float) -> bool:
        """Return whether there is something to be sent within `wait` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._channel.has_something.wait()
        return self._channel.has_something.is_set()

    async def _send(self) -> None:
        try:
            await self._ask(func.pg_notify(self._channel.name, self._channel.take()))
        except BaseException:
            # it is lost: when the connection is open again, others look
            self._channel.tell(Notification(unnamed=ALL))
            raise

    async def _test(self) -> None:
        self._arrived.clear()
        await self._ask(func.pg_notify(self._test_channel, literal("")))
        try:
            async with asyncio.timeout(ARRIVAL):
                await self._arrived.wait()
        except TimeoutError:
            if not self._is_deaf:
                log.warning(
                    "%s: notifications don't arrive, as through a pooler of transactions. It is"
                    " polled instead.",
                    self._where,
                )
            self._become_deaf()
        else:
            self._is_deaf = False

    async def _end_stalled(self) -> None:
        ended = 0
        with suppress(AccessDenied):  # the user may not end sessions; another process's may
            ended = await self._execute(end_stalled.bindparams(seconds=PAUSE))
        if ended:
            log.warning(
                "%s: %d sessions were ended, because their clients stopped within a transaction",
                self._where,
                ended,
            )

    def _become_deaf(self) -> None:
        self._is_deaf = True
        self._channel.note(Notification(unnamed=ALL))

    async def _come_back(self) -> None:
        while not self._leaving.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(RECONNECT):
                    await self._leaving.wait()
            try:
                await self._connect(patience=0)
            except Exception as error:
                unexpected = None if isinstance(error, StoreError) else error
                log.warning("%s; trying again in %.0f s", error, RECONNECT, exc_info=unexpected)
            else:
                self._is_deaf = False
                self._channel.note(Notification(unnamed=ALL))
                return

    async def _ask(self, what: ColumnElement[Any]) -> Any:
        return await self._execute(select(what))

    async def _execute(self, statement: Executable) -> Any:
        """Return the value that a statement finds."""
        with translate_errors(self._where):
            async with asyncio.timeout(PATIENCE):
                return await self._connection.scalar(statement)
