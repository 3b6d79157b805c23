"""`sqlite:///shop.db`: one file that holds everything, the embedded default."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote

from sqlalchemy import make_url

from workflow_ray.errors import InvalidInput
from workflow_ray.ports import Clock, EventStreamer, TimeoutStore, path_in_url
from workflow_ray_adapters.sql.sqlite import file
from workflow_ray_adapters.sql.sqlite.database import SqliteDatabase
from workflow_ray_adapters.sql.sqlite.faults import translate_errors
from workflow_ray_adapters.sql.sqlite.joined import SqliteTransactions
from workflow_ray_adapters.sql.sqlite.lock import FileLock
from workflow_ray_adapters.sql.store import SqlStore

if TYPE_CHECKING:
    from workflow_ray_adapters.sql.run_keys import SqlRunKeys

PATIENCE = 5.0  # seconds that `create` waits for the process that serves an older store


class SqliteAdapter:
    """Adapter for SQLite files. Only their owner can read and write them, unless he changes
    that.
    """

    shared = False

    def canonical(self, url: str) -> str:
        return f"sqlite:///{path_in_url(_path(url))}"

    def create(self, url: str) -> str:
        path = _path(url)
        if not file.is_current(path):
            with FileLock(path).hold_by_thread(PATIENCE):
                file.make(path)
        return file.check(path)

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
        path = _path(url)
        # before the lock: its file must not be left beside something that is not a store
        found = await asyncio.to_thread(file.check, path, store_id)
        async with AsyncExitStack() as stack:
            if exclusive:
                await stack.enter_async_context(FileLock(path).hold(patience))
                found = await asyncio.to_thread(file.check, path, store_id)
            database = SqliteDatabase(path, exclusive=exclusive)
            stack.push_async_callback(asyncio.to_thread, database.close)
            yield await stack.enter_async_context(SqlStore(database, clock, found).serve())

    def transactions(self, url: str, *, clock: Clock, store_id: str) -> SqliteTransactions:
        return SqliteTransactions(_path(url), clock, store_id)

    def run_keys(self, url: str) -> "SqlRunKeys":
        from workflow_ray_adapters.sql.run_keys import SqlRunKeys
        from workflow_ray_adapters.sql.sqlite.run_keys import FileRunner

        return SqlRunKeys(self.canonical(url), FileRunner(_path(url)), translate_errors)

    def open_events(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[EventStreamer]:
        return self.open_records(url, clock=clock, exclusive=False)

    def open_timeouts(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[TimeoutStore]:
        return self.open_records(url, clock=clock, exclusive=False)


def _path(url: str) -> str:
    """Return the absolute path of the URL's file: the inverse of `path_in_url`."""
    has_host = not url.partition("://")[2].startswith("/")
    path = "" if has_host else unquote(make_url(url).database or "")
    if path in ("", ":memory:") or "\0" in path:
        raise InvalidInput(
            "the URL of a SQLite store",
            "name a file after three slashes, as in sqlite:///shop.db. For a store in memory use"
            " memory://shop.",
        )
    return os.path.realpath(path)
