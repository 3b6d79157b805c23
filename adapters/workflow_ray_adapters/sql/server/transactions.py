"""Transactions in the database of a store that is on a server."""

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from workflow_ray.ports import Clock, StepTransaction
from workflow_ray.records import GroupResult, WriteGroup
from workflow_ray_adapters.sql.joined.steps import ServerSteps
from workflow_ray_adapters.sql.joined.transactions import SqlTransactions


class ServerTransactions(SqlTransactions):
    """Transactions on a server.

    Args:
        where: As SqlTransactions.
        clock: As SqlTransactions.
        store_id: As SqlTransactions.
        make_engine: Makes the engine of steps.
        is_broken: Whether a driver's connection can't be used any more.
    """

    def __init__(
        self,
        where: str,
        clock: Clock,
        store_id: str,
        make_engine: Callable[[], AsyncEngine],
        is_broken: Callable[[Any], bool],
    ) -> None:
        super().__init__(where, clock, store_id)
        self._steps = ServerSteps(make_engine, is_broken, self._write_of_step)

    @property
    def for_async(self) -> bool:
        return True

    def begin(self) -> AbstractAsyncContextManager[StepTransaction]:
        return self._steps.begin()

    async def close(self) -> None:
        await self._steps.close()

    @abstractmethod
    def _write_of_step(self, connection: Connection, group: WriteGroup) -> GroupResult:
        """Write the last group of a step's transaction."""
