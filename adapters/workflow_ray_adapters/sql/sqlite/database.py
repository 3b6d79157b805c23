"""A SQLite file at work: one thread that writes, a few that read beside it."""

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeAlias, TypeVar

from sqlalchemy import Connection

from workflow_ray.errors import StoreMissing, StoreUnavailable
from workflow_ray_adapters.sql.dialects import SQLITE
from workflow_ray_adapters.sql.notifications import ALL, Notification
from workflow_ray_adapters.sql.pace import Pace
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.sqlite.connections import PATIENCE, driver, reading, writing
from workflow_ray_adapters.sql.sqlite.faults import explained
from workflow_ray_adapters.sql.sqlite.lock import FileLock
from workflow_ray_adapters.sql.sqlite.log import Log

T = TypeVar("T")
Identity: TypeAlias = tuple[int, int]
log = logging.getLogger(__name__)

READERS = 2


class SqliteDatabase:
    """sql.database.Database. Each connection is used by one thread at a time."""

    def __init__(self, path: str, *, exclusive: bool = True) -> None:
        self.url = f"sqlite:///{path}"
        self.where = path
        self._exclusive = exclusive
        self._closed = False
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._reading = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._readers: SimpleQueue[Connection] = SimpleQueue()
        self._log = Log(path, READERS)
        self._shortening: asyncio.Task[None] | None = None
        self._file = _identity(path)
        self._log_file: Identity | None = None  # there is none before the first transaction
        with explained(path):
            self._writer = writing(path)
            for _ in range(READERS):
                self._readers.put(reading(path))
        self._data_version = self._read_data_version()

    async def write(self, work: Callable[[Session], T]) -> T:
        result = await self._run(self._writing, lambda: self._write(work))
        if self._shortening is None and self._log.is_large():
            self._shortening = asyncio.create_task(self._shorten_log())
        return result

    async def read(self, work: Callable[[Session], T]) -> T:
        async with self._log.read():
            return await self._run(self._reading, lambda: self._look(work))

    async def notified(self, pace: Pace) -> Notification:
        while True:
            await pace.rest()
            if await self._run(self._writing, self._changed_elsewhere):
                return Notification(unnamed=ALL)

    async def served_elsewhere(self) -> bool:
        return not self._exclusive and await asyncio.to_thread(FileLock(self.where).is_held)

    def close(self) -> None:
        """Waits for what is running. The last connection to leave moves the write-ahead log into
        the file.
        """
        self._closed = True
        self._reading.shutdown()
        self._writing.shutdown()
        while not self._readers.empty():
            self._readers.get().close()
        self._writer.close()

    async def _shorten_log(self) -> None:
        try:
            async with self._log.unread():
                await self._run(self._writing, self._begin_log_anew)
        except Exception:
            if not self._closed:
                log.exception("%s: its write-ahead log can't be shortened. It is tried again when it has grown.", self.where)
        finally:
            self._shortening = None

    def _begin_log_anew(self) -> None:
        """Where another process reads from it, it only gets as far as that allows."""
        raw = driver(self._writer)
        raw.execute("PRAGMA busy_timeout = 0")  # the writer waits for nobody
        try:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            raw.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreUnavailable(self.where, "it is closed.")
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def _write(self, work: Callable[[Session], T]) -> T:
        """Checks the files before and after it commits: what others can't find must not be
        acknowledged.
        """
        self._check_files()
        result = self._transact(self._writer, work)
        self._check_files()
        return result

    def _check_files(self) -> None:
        """Raises StoreMissing: a path does not name the open file any more."""
        if _identity(self.where) != self._file:
            raise StoreMissing(self.where, "the file was deleted or replaced while it was open. Put it back, and open it again.")
        log_file = _identity(f"{self.where}-wal")
        if self._log_file is not None and log_file != self._log_file:
            raise StoreMissing(self.where, "its -wal file was deleted or replaced while it was open. Put it back, and open it again.")
        self._log_file = log_file

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


def _identity(path: str) -> Identity | None:
    """The device and the number of the file that is there now; None: there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
