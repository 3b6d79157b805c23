"""A MariaDB store for tests, and direct access to its database."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import pytest
from sqlalchemy import text

from workflow_ray.ports import SystemClock
from workflow_ray_adapters.sql import MariadbAdapter
from workflow_ray_adapters.sql.mariadb.connections import autocommit_engine
from workflow_ray_adapters.sql.mariadb.url import parse_target
from workflow_ray_adapters.sql.store import SqlStore

Opener: TypeAlias = Callable[..., AbstractAsyncContextManager[SqlStore]]
Sql: TypeAlias = Callable[[str], Awaitable[Any]]


@pytest.fixture
async def url(mariadb_url: str) -> str:
    await asyncio.to_thread(MariadbAdapter().create, mariadb_url)
    return mariadb_url


@pytest.fixture
def opened(url: str) -> Opener:
    """Return a function that opens the store, with the adapter's options."""

    def opened(
        *, exclusive: bool = False, patience: float = 0.0, store_id: str | None = None
    ) -> AbstractAsyncContextManager[SqlStore]:
        return MariadbAdapter().open_records(
            url, clock=SystemClock(), exclusive=exclusive, patience=patience, store_id=store_id
        )

    return opened


@pytest.fixture
def sql(url: str) -> Sql:
    """Return a function that runs a statement on a connection of its own, and returns the first
    value that it finds.
    """

    async def sql(statement: str) -> Any:
        async with autocommit_engine(parse_target(url)).connect() as connection:
            found = await connection.execute(text(statement))
            return found.scalar() if found.returns_rows else None

    return sql
