"""The server's lock of the process that serves a store. It lives as long as the connection that
asked for it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import monotonic

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_ray.errors import StoreInUse, WorkflowError
from workflow_ray_adapters.sql.mariadb.connections import autocommit_engine
from workflow_ray_adapters.sql.mariadb.faults import translate_errors
from workflow_ray_adapters.sql.mariadb.url import Target

log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between tests of the connection, and between tries for a new one."""
PAUSE = 0.02
"""Seconds between tries for the lock."""
PATIENCE = 5.0
"""Seconds for a test, before the connection counts as broken."""


def lock_name(store_id: str) -> str:
    return f"workflow_ray serves {store_id}"  # the server allows 64 characters


class ServiceLock:
    """A lock that is acquired again whenever its connection breaks. Until then the fences alone
    keep others' writes and ours apart.
    """

    def __init__(self, target: Target, name: str) -> None:
        self._engine = autocommit_engine(target)
        self._where = target.canonical
        self._name = name

    @asynccontextmanager
    async def hold(self, patience: float) -> AsyncGenerator[None]:
        """Hold the lock. Waits up to `patience` seconds for another holder to release it. Raises
        StoreInUse.
        """
        keeping = asyncio.create_task(self._keep(await self._locked(patience)))
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep(self, connection: AsyncConnection) -> None:
        while True:
            try:
                await self._watch(connection)
            except Exception as error:
                message = (
                    "%s Until it answers again, nothing but fences keeps other servers of the store"
                    " off."
                )
                log.warning(message, error, exc_info=_unexpected(error))
            finally:
                await _leave(connection)
            connection = await self._again()

    async def _watch(self, connection: AsyncConnection) -> None:
        """Wait until the connection breaks. The tests keep the server from closing it as idle."""
        while True:
            await asyncio.sleep(POLL)
            with translate_errors(self._where):
                async with asyncio.timeout(PATIENCE):
                    await connection.scalar(select(1))

    async def _again(self) -> AsyncConnection:
        while True:
            try:
                return await self._locked(0)
            except Exception as error:
                log.warning("%s Trying again in %.0f s.", error, POLL, exc_info=_unexpected(error))
                await asyncio.sleep(POLL)

    async def _locked(self, patience: float) -> AsyncConnection:
        """Return a new connection that has the lock."""
        deadline = monotonic() + patience
        with translate_errors(self._where):
            connection = await self._engine.connect()
            try:
                while not await connection.scalar(select(func.get_lock(self._name, 0))):
                    if monotonic() >= deadline:
                        raise StoreInUse(
                            self._where,
                            "another process serves it. Stop that one first, or attach to it.",
                        )
                    await asyncio.sleep(PAUSE)
            except BaseException:
                await _leave(connection)
                raise
        return connection


def _unexpected(error: Exception) -> Exception | None:
    """Log an error. One of ours has its traceback, a server's has none."""
    return None if isinstance(error, WorkflowError) else error


async def _leave(connection: AsyncConnection) -> None:
    """Close the connection at once: a server may not answer."""
    await connection.invalidate()
    await connection.close()
