"""Transactions of steps on connections of our own."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, AsyncTransaction

from workflow_ray.records import GroupResult, WriteGroup
from workflow_ray_adapters.sql.joined.last_group import JOINING, WriteLast, is_complete

AT_ONCE = 10
"""The most transactions of one role at a time. Further steps wait for one of them to end."""
PATIENCE = 3600
"""Seconds that a step waits for that; its own time limit is mostly shorter."""
ENGINE_OPTIONS: Final[Mapping[str, Any]] = {
    "isolation_level": "READ COMMITTED",
    "pool_size": AT_ONCE,
    "max_overflow": 0,
    "pool_timeout": PATIENCE,
}
"""The options of an engine for such transactions."""


@dataclass(frozen=True)
class ServerTransaction:
    """A StepTransaction on a server."""

    session: AsyncSession
    connection: AsyncConnection
    transaction: AsyncTransaction
    write_last: WriteLast

    async def commit(self, group: WriteGroup) -> GroupResult:
        await self.session.commit()
        answer = await self.connection.run_sync(self.write_last, group)
        await (self.transaction.commit() if is_complete(answer) else self.transaction.rollback())
        return answer


class ServerSteps:
    """The transactions of the steps of one role on a server.

    Args:
        make_engine: Makes the engine, at its first use.
        is_broken: Whether a driver's connection can't be used any more.
        write_last: Writes the last group of a transaction.
    """

    def __init__(
        self,
        make_engine: Callable[[], AsyncEngine],
        is_broken: Callable[[Any], bool],
        write_last: WriteLast,
    ) -> None:
        self._make_engine = make_engine
        self._is_broken = is_broken
        self._write_last = write_last
        self._engine: AsyncEngine | None = None

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[ServerTransaction]:
        async with self._opened().connect() as connection:
            transaction = await connection.begin()
            session = AsyncSession(connection, join_transaction_mode=JOINING)
            try:
                yield ServerTransaction(session, connection, transaction, self._write_last)
            except Exception:
                raise
            except BaseException:  # a statement that was interrupted costs its connection
                await connection.invalidate()
                raise
            finally:
                await session.close()
                if transaction.is_active and not connection.invalidated:
                    await transaction.rollback()

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    def _opened(self) -> AsyncEngine:
        if self._engine is None:
            self._engine = self._make_engine()
            event.listen(self._engine.sync_engine, "checkout", self._refuse_broken)
        return self._engine

    def _refuse_broken(self, connection: Any, *_: object) -> None:
        """Replace a connection that broke while nobody used it."""
        if self._is_broken(connection.driver_connection):
            raise DisconnectionError
