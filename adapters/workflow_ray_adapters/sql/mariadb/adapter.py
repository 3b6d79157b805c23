"""`mariadb://user:password@host/database`, or `mysql://`: a server that any number of processes
share.
"""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from hashlib import sha256

from sqlalchemy import func, select
from sqlalchemy.dialects.mysql.base import MySQLDialect
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_ray.errors import StoreError, StoreInUse
from workflow_ray.ports import Clock, EventStreamer, TimeoutStore
from workflow_ray_adapters.sql.mariadb import commits
from workflow_ray_adapters.sql.mariadb.connections import (
    access_to,
    autocommit_engine,
    definition_engine,
    keys_engine,
)
from workflow_ray_adapters.sql.mariadb.database import MariadbDatabase
from workflow_ray_adapters.sql.mariadb.faults import translate_errors
from workflow_ray_adapters.sql.mariadb.joined import MariadbTransactions
from workflow_ray_adapters.sql.mariadb.lock import ServiceLock, lock_name
from workflow_ray_adapters.sql.mariadb.url import Target, parse_target
from workflow_ray_adapters.sql.run_keys import SqlRunKeys
from workflow_ray_adapters.sql.server import deployed
from workflow_ray_adapters.sql.server.run_keys import ServerRunner
from workflow_ray_adapters.sql.store import SqlStore

PATIENCE = 60  # seconds that `create` waits for another process that creates the store


class MariadbAdapter:
    """Adapter for MariaDB, with asyncmy. One database, which has no other use, holds everything;
    its owner decides who may use it. An application's tables are in another database of the server.

    A URL takes `?ssl=true`, `ssl_ca`, `ssl_cert`, `ssl_key`, `ssl_check_hostname` and
    `unix_socket`. Data of 16 MiB needs a server with max_allowed_packet=64M. MariaDB is supported
    from 10.6 on: earlier versions have no JSON_TABLE. MySQL from 8.0.17 on has the statements and
    settings that are used, but it is not tested.
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
            if exclusive:
                await stack.enter_async_context(ServiceLock(where, lock_name(found)).hold(patience))
            database = MariadbDatabase(access_to(where), lock_name(found), exclusive=exclusive)
            stack.push_async_callback(database.close)
            # forgetting can wait: a server that is read-only for a moment can be opened
            with suppress(StoreError):
                await database.write(commits.forget)
            yield await stack.enter_async_context(SqlStore(database, clock, found).serve())

    def transactions(self, url: str, *, clock: Clock, store_id: str) -> MariadbTransactions:
        return MariadbTransactions(parse_target(url), clock, store_id)

    def run_keys(self, url: str) -> SqlRunKeys:
        where = parse_target(url)
        runner = ServerRunner(lambda: keys_engine(where))
        return SqlRunKeys(where.canonical, runner, translate_errors)

    def open_events(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[EventStreamer]:
        return self.open_records(url, clock=clock, exclusive=False)

    def open_timeouts(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[TimeoutStore]:
        return self.open_records(url, clock=clock, exclusive=False)


async def _check(where: Target, store_id: str | None) -> str:
    with translate_errors(where.canonical):
        async with autocommit_engine(where).connect() as connection:
            return await connection.run_sync(deployed.check, where.canonical, store_id)


async def _create(where: Target) -> str:
    """Create the store. Of several at once one creates it, and the others find it. If it is killed
    half-way, the next one goes on.
    """
    with translate_errors(where.canonical):
        async with autocommit_engine(where).connect() as connection:
            is_mariadb = (
                isinstance(connection.dialect, MySQLDialect) and connection.dialect.is_mariadb
            )
        async with definition_engine(where, is_mariadb=is_mariadb).begin() as connection:
            await _alone(connection, where)
            return await connection.run_sync(deployed.make, where.canonical)


async def _alone(connection: AsyncConnection, where: Target) -> None:
    """Let nobody else create the store until the connection is closed. Data definition ends
    transactions, but not this lock.
    """
    name = f"workflow_ray {sha256(where.database.encode()).hexdigest()[:40]}"
    if not await connection.scalar(select(func.get_lock(name, PATIENCE))):
        raise StoreInUse(
            where.canonical,
            "another process has been making the store for long. Wait for it, or see what it waits"
            " for.",
        )
