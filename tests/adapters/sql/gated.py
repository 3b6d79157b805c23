"""A database that holds up its transactions, so that requests gather behind one."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from msgspec.structs import replace

from workflow_ray.records import Write
from workflow_ray.testing.conformance.runs import new_run, store_all
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.sqlite.database import SqliteDatabase
from workflow_ray_adapters.sql.store import SqlStore

T = TypeVar("T")


class Gated(SqliteDatabase):
    """A database that counts writing transactions, stops them while its gate is shut, and fails or
    dies as it is asked to.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.transactions = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = asyncio.Event()  # set while a transaction waits at the gate
        self.failure: BaseException | None = None

    async def write(self, work: Callable[[Session], T]) -> T:
        self.waiting.set()
        await self.gate.wait()
        self.waiting.clear()
        self.transactions += 1
        if self.failure:
            raise self.failure
        return await super().write(work)


@asynccontextmanager
async def held_up(database: Gated, store: SqlStore) -> AsyncGenerator[None]:
    """Collect what is asked for behind a transaction that waits at the gate."""
    database.gate.clear()
    first = asyncio.create_task(store_all(store, new_run()))
    await database.waiting.wait()
    try:
        yield
    finally:
        database.gate.set()
        await first


def asked(store: SqlStore, *writes: Write) -> list[asyncio.Task[object]]:
    """Start one call for each of the writes."""
    return [asyncio.create_task(store_all(store, write)) for write in writes]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def unfit() -> Write:
    """Return a write whose status no column of SQLite holds."""
    return replace(new_run(), status=2**70)
