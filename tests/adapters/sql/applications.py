"""An application that has tables of its own in the database of a store."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, make_url, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from tests.servers import MariaDB
from tests.unit.parcels import Parcel, Route, routed
from workflow_ray import Client
from workflow_ray.ports import SystemClock, records_adapter, transactions_of
from workflow_ray_adapters.sql.store import SqlStore

SERVER = pytest.mark.server
SERVERS = (
    pytest.param("postgresql", marks=SERVER),
    pytest.param("postgresql?schema", marks=SERVER),
    pytest.param("mariadb", marks=SERVER),
    pytest.param("mariadb beside", marks=SERVER),
)
KINDS = ("sqlite", *SERVERS)
"""Where the application's tables are: in the store's schema or database, or beside it."""
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


@dataclass
class Application:
    """An application, and a client of the store."""

    url: str  # of the store
    store: SqlStore
    engine: AsyncEngine
    client: Client[Parcel, Route]

    async def notes(self, connection: AsyncConnection | AsyncSession | None = None) -> int:
        """Count the rows of the application's table."""
        counted = select(func.count()).select_from(table("notes"))
        if connection is not None:
            return int((await connection.execute(counted)).scalar_one())
        async with self.engine.connect() as fresh:
            return int((await fresh.execute(counted)).scalar_one())

    async def runs(self) -> dict[str, Route]:
        """Return the status of each run by its foreign id."""
        return {run.foreign_id: run.status async for run in self.client.runs()}

    async def execute(self, *statements: str) -> None:
        """Run statements in one transaction."""
        async with self.engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))


async def note(session: AsyncSession | AsyncConnection, number: int = 1) -> None:
    """Write a row into the application's table."""
    await session.execute(text("INSERT INTO notes VALUES (:number)"), {"number": number})


def client_of(store: SqlStore, url: str) -> Client[Parcel, Route]:
    clock = SystemClock()
    transactions = transactions_of(url, clock=clock, store_id=store.store_id)
    return Client(routed(), store, clock, transactions=transactions)


def engine_for(url: str, **options: Any) -> AsyncEngine:
    """Make the application's engine for the database that a URL names."""
    named = make_url(url).set(query={})
    driver = DRIVERS.get(named.drivername, "mysql+asyncmy")
    return create_async_engine(named.set(drivername=driver), **options)


@asynccontextmanager
async def application(
    kind: str, url: str, request: pytest.FixtureRequest
) -> AsyncGenerator[Application]:
    """Make a store and an application beside it.

    Args:
        kind: One of KINDS.
        url: Of an empty database.
        request: Gives a second database.
    """
    records = f"{url}?schema=workflows" if kind.endswith("schema") else url
    adapter = records_adapter(records)
    await asyncio.to_thread(adapter.create, records)
    opening = adapter.open_records(records, clock=SystemClock(), exclusive=False)
    async with opening as store, _place(kind, url, request) as place:
        assert isinstance(store, SqlStore)
        engine = engine_for(place)
        made = Application(records, store, engine, client_of(store, records))
        await made.execute("CREATE TABLE notes (number INTEGER)")
        try:
            yield made
        finally:
            await engine.dispose()


@asynccontextmanager
async def _place(kind: str, url: str, request: pytest.FixtureRequest) -> AsyncGenerator[str]:
    if kind != "mariadb beside":
        yield url
        return
    server: MariaDB = request.getfixturevalue("mariadb")
    with server.database(f"app_{uuid4().hex}") as beside:
        yield beside
