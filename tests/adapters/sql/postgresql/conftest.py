"""A PostgreSQL store to do things to, and a way to the server behind its back."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import pytest
from sqlalchemy import text

from workflow_ray.ports import SystemClock
from workflow_ray_adapters.sql import PostgresqlAdapter
from workflow_ray_adapters.sql.postgresql.connections import autocommit
from workflow_ray_adapters.sql.postgresql.url import target
from workflow_ray_adapters.sql.store import SqlStore

Opener: TypeAlias = Callable[..., AbstractAsyncContextManager[SqlStore]]
Sql: TypeAlias = Callable[[str], Awaitable[Any]]


@pytest.fixture
async def url(postgres_url: str) -> str:
    await asyncio.to_thread(PostgresqlAdapter().create, postgres_url)
    return postgres_url


@pytest.fixture
def opened(url: str) -> Opener:
    """Opens the store, with the adapter's options."""

    def opened(
        *, exclusive: bool = False, patience: float = 0.0, store_id: str | None = None
    ) -> AbstractAsyncContextManager[SqlStore]:
        return PostgresqlAdapter().open_records(
            url, clock=SystemClock(), exclusive=exclusive, patience=patience, store_id=store_id
        )

    return opened


@pytest.fixture
def sql(url: str) -> Sql:
    """Runs a statement on a connection of its own: the first value of what it finds."""

    async def sql(statement: str) -> Any:
        async with autocommit(target(url)).connect() as connection:
            found = await connection.execute(text(statement))
            return found.scalar() if found.returns_rows else None

    return sql
