"""`postgresql://user:password@host/database`: a server that any number of processes share."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from sqlalchemy import Connection

from workflow_ray.ports import Clock, EventStreamer, TimeoutStore
from workflow_ray_adapters.sql.postgresql.channel import channel_of
from workflow_ray_adapters.sql.postgresql.connections import (
    access_to,
    autocommit_engine,
    keys_engine,
)
from workflow_ray_adapters.sql.postgresql.database import PostgresqlDatabase
from workflow_ray_adapters.sql.postgresql.faults import translate_errors
from workflow_ray_adapters.sql.postgresql.joined import PostgresqlTransactions
from workflow_ray_adapters.sql.postgresql.schema import check_schema, lock_making, make_schema
from workflow_ray_adapters.sql.postgresql.url import Target, parse_target
from workflow_ray_adapters.sql.postgresql.watch import Watch
from workflow_ray_adapters.sql.run_keys import SqlRunKeys
from workflow_ray_adapters.sql.server import deployed
from workflow_ray_adapters.sql.server.database import CONNECTING
from workflow_ray_adapters.sql.server.run_keys import ServerRunner
from workflow_ray_adapters.sql.store import SqlStore


class PostgresqlAdapter:
    """Adapter for PostgreSQL, with asyncpg. One database holds everything; its owner decides who
    may use it. It has no other use, unless the URL names a schema: `?schema=workflows`. Then
    everything is in that schema, beside an application's tables in others, or beside other stores.

    A URL also takes libpq's options, for example
    `?sslmode=verify-full&sslrootcert=/etc/ssl/shop.pem`.
    """

    shared = True

    def canonical(self, url: str) -> str:
        return parse_target(url).canonical

    def create(self, url: str) -> str:
        # it works whether or not the caller's thread has an event loop
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(lambda: asyncio.run(_create(parse_target(url)))).result()

    @asynccontextmanager
    async def open_records(
        self,
        url: str,
        *,
        clock: Clock,
        store_id: str | None = None,
        exclusive: bool = True,
        patience: float = 5.0,
    ) -> AsyncGenerator[SqlStore]:
        where = parse_target(url)
        found = await _check(where, store_id)
        async with AsyncExitStack() as stack:
            watch = Watch(
                autocommit_engine(where),
                where.canonical,
                channel_of(found),
                exclusive=exclusive,
            )
            await stack.enter_async_context(watch.opened(patience))
            database = PostgresqlDatabase(access_to(where), watch, exclusive=exclusive)
            stack.push_async_callback(database.close)
            yield await stack.enter_async_context(SqlStore(database, clock, found).serve())

    def transactions(self, url: str, *, clock: Clock, store_id: str) -> PostgresqlTransactions:
        return PostgresqlTransactions(parse_target(url), clock, store_id)

    def run_keys(self, url: str) -> SqlRunKeys:
        where = parse_target(url)
        runner = ServerRunner(lambda: keys_engine(where))
        return SqlRunKeys(where.canonical, runner, translate_errors)

    def open_events(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[EventStreamer]:
        return self.open_records(url, clock=clock, exclusive=False)

    def open_timeouts(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[TimeoutStore]:
        return self.open_records(url, clock=clock, exclusive=False)


async def _check(where: Target, store_id: str | None) -> str:
    def check(connection: Connection) -> str:
        check_schema(connection, where)
        return deployed.check(connection, where.canonical, store_id)

    engine = autocommit_engine(where)
    with translate_errors(where.canonical):
        async with asyncio.timeout(CONNECTING), engine.connect() as connection:
            return await connection.run_sync(check)


async def _create(where: Target) -> str:
    """Create the store. Of several at once one creates it, and the others find it."""

    def make(connection: Connection) -> str:
        lock_making(connection, where)
        make_schema(connection, where)
        return deployed.make(connection, where.canonical)

    engine = access_to(where).writer
    try:
        with translate_errors(where.canonical):
            async with engine.begin() as connection:
                return await connection.run_sync(make)
    finally:
        await engine.dispose()
