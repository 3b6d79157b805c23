"""The server's lock that says who serves a store: it lives as long as the connection that asked for
it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import monotonic

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_ray.errors import StoreInUse, WorkflowError
from workflow_ray_adapters.sql.mariadb.connections import autocommit
from workflow_ray_adapters.sql.mariadb.faults import explained
from workflow_ray_adapters.sql.mariadb.url import Target

log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between looks whether the connection still works, and between tries for a new one."""
PAUSE = 0.02
"""Seconds between tries for the lock."""
PATIENCE = 5.0
"""Seconds for a look, before the connection counts as broken."""


def lock_name(store_id: str) -> str:
    return f"workflow_ray serves {store_id}"  # the server allows 64 characters


class ServiceLock:
    """Acquired again whenever its connection breaks; until then fences alone keep others' writes
    and ours apart.
    """

    def __init__(self, target: Target, name: str) -> None:
        self._engine = autocommit(target)
        self._where = target.canonical
        self._name = name

    @asynccontextmanager
    async def held(self, patience: float) -> AsyncGenerator[None]:
        """Waits up to `patience` seconds for another holder to leave. Raises StoreInUse."""
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
                said = (
                    "%s Until it answers again, nothing but fences keeps other servers of the store"
                    " off."
                )
                log.warning(said, error, exc_info=_unexpected(error))
            finally:
                await _leave(connection)
            connection = await self._again()

    async def _watch(self, connection: AsyncConnection) -> None:
        """Until the connection breaks. The looks keep the server from taking it for a dead one."""
        while True:
            await asyncio.sleep(POLL)
            with explained(self._where):
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
        """A new connection that has the lock."""
        deadline = monotonic() + patience
        with explained(self._where):
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
    """An error of ours is logged with its traceback, a server's without."""
    return None if isinstance(error, WorkflowError) else error


async def _leave(connection: AsyncConnection) -> None:
    """At once: a server that may not answer is told nothing."""
    await connection.invalidate()
    await connection.close()
