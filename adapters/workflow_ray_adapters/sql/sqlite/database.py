"""A SQLite file at work: one thread that writes, a few that read beside it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from sqlalchemy import Connection

from workflow_ray.errors import StoreUnavailable
from workflow_ray_adapters.sql.dialects import SQLITE
from workflow_ray_adapters.sql.notifications import ALL, Notification
from workflow_ray_adapters.sql.pace import Pace
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.sqlite.connections import driver, reading, writing
from workflow_ray_adapters.sql.sqlite.faults import explained
from workflow_ray_adapters.sql.sqlite.lock import FileLock

T = TypeVar("T")
READERS = 2


class SqliteDatabase:
    """sql.database.Database. Each connection is used by one thread at a time."""

    def __init__(self, path: str, *, exclusive: bool = True) -> None:
        self.url, self.where = f"sqlite:///{path}", path
        self._exclusive = exclusive
        self._closed = False
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._reading = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._readers: SimpleQueue[Connection] = SimpleQueue()
        with explained(path):
            self._writer = writing(path)
            for _ in range(READERS):
                self._readers.put(reading(path))
        self._data_version = self._read_data_version()

    async def write(self, work: Callable[[Session], T]) -> T:
        return await self._run(self._writing, lambda: self._transact(self._writer, work))

    async def read(self, work: Callable[[Session], T]) -> T:
        return await self._run(self._reading, lambda: self._look(work))

    async def notified(self, pace: Pace) -> Notification:
        while True:
            await pace.rest()
            if await self._run(self._writing, self._changed_elsewhere):
                return Notification(unnamed=ALL)

    async def served_elsewhere(self) -> bool:
        return not self._exclusive and await asyncio.to_thread(FileLock(self.where).is_held)

    def close(self) -> None:
        """Waits for what is running. The last connection to leave moves the write-ahead log into the file."""
        self._closed = True
        self._reading.shutdown()
        self._writing.shutdown()
        while not self._readers.empty():
            self._readers.get().close()
        self._writer.close()

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreUnavailable(self.where, "it is closed.")
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def _transact(self, connection: Connection, work: Callable[[Session], T]) -> T:
        with explained(self.where), connection.begin():
            return work(Session(connection, SQLITE))

    def _look(self, work: Callable[[Session], T]) -> T:
        connection = self._readers.get()  # there is one for each thread
        try:
            return self._transact(connection, work)
        finally:
            self._readers.put(connection)

    def _changed_elsewhere(self) -> bool:
        seen, self._data_version = self._data_version, self._read_data_version()
        return seen != self._data_version

    def _read_data_version(self) -> int:
        """A number that changes when another connection commits, and not when this one does."""
        with explained(self.where):
            version: int = driver(self._writer).execute("PRAGMA data_version").fetchone()[0]
        return version
