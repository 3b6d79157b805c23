"""A SQLite file at work: one connection writes, a few read beside it."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection

from workflow_ray.errors import StoreUnavailable
from workflow_ray_adapters.sql.database import Aborted
from workflow_ray_adapters.sql.notifications import ALL, Notification
from workflow_ray_adapters.sql.pace import Pace
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.sqlite import connections
from workflow_ray_adapters.sql.sqlite.connections import (
    READ,
    WRITE,
    driver,
    open_reader,
    open_writer,
    set_patience,
    transaction,
)
from workflow_ray_adapters.sql.sqlite.dialect import SQLITE
from workflow_ray_adapters.sql.sqlite.faults import is_locked, translate_errors
from workflow_ray_adapters.sql.sqlite.files import Files
from workflow_ray_adapters.sql.sqlite.handover import Handover
from workflow_ray_adapters.sql.sqlite.lock import FileLock
from workflow_ray_adapters.sql.sqlite.log import Log

T = TypeVar("T")
log = logging.getLogger(__name__)

READERS = 2


class SqliteDatabase:
    """A Database on SQLite. One thread at a time uses each connection."""

    def __init__(self, path: str, *, exclusive: bool = True) -> None:
        self.url = f"sqlite:///{path}"
        self.where = path
        self._exclusive = exclusive
        self._closed = False
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._handed_over: Future[Any] | None = None  # the last transaction given to that thread
        self._handover = Handover()
        self._reading = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._readers: SimpleQueue[Connection] = SimpleQueue()
        self._log = Log(READERS)
        self._shortening: asyncio.Task[None] | None = None
        self._files = Files(path)
        with translate_errors(path):
            self._writer = open_writer(path)
            self._is_patient = True
            for _ in range(READERS):
                self._readers.put(open_reader(path))
        self._data_version = self._read_data_version()

    async def write(self, work: Callable[[Session], T]) -> T:
        if self._shortening is not None and self._log.is_far_too_large():
            await asyncio.wait([self._shortening])
        if self._handover.is_due() or not self._is_idle():
            result = await self._by_writer(partial(self._write, work))
        else:
            result = self._write_at_once(work)
        if self._shortening is None and self._log.is_large():
            self._shortening = asyncio.create_task(self._shorten_log())
        return result

    async def read(self, work: Callable[[Session], T], *, brief: bool = False) -> T:
        async with self._log.read():  # a connection is free
            self._check_open()
            if brief:
                return self._look(work)
            return await asyncio.get_running_loop().run_in_executor(self._reading, self._look, work)

    async def notified(self, pace: Pace) -> Notification:
        while True:
            await pace.rest()
            if await self._when_free(self._changed_elsewhere):
                return Notification(unnamed=ALL)

    async def is_served(self) -> bool:
        return self._exclusive or await asyncio.to_thread(FileLock(self.where).is_held)

    def close(self) -> None:
        """Close the connections, after waiting for what is running. The last connection moves the
        write-ahead log into the file.
        """
        self._closed = True
        self._reading.shutdown()
        self._writing.shutdown()
        while not self._readers.empty():
            self._readers.get().close()
        self._writer.close()
        self._files.close()

    async def _shorten_log(self) -> None:
        try:
            async with self._log.hold_reads():
                await self._by_writer(self._reset_log)
                self._log.size = self._files.log_size()
        except Exception:
            if not self._closed:
                log.exception(
                    "%s: its write-ahead log can't be shortened. It is tried again when it has"
                    " grown.",
                    self.where,
                )
        finally:
            self._shortening = None

    def _reset_log(self) -> None:
        """Reset the write-ahead log. Where another process reads from it, it only gets as far as
        that allows.
        """
        self._be_patient(False)
        driver(self._writer).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _be_patient(self, patient: bool) -> None:
        """Return whether the writing connection waits for another program's lock."""
        if patient != self._is_patient:
            set_patience(self._writer, connections.PATIENCE if patient else 0.0)
            self._is_patient = patient

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(self.where, "it is closed.")

    def _is_idle(self) -> bool:
        """Return whether the writing thread has nothing to do: its connection is free."""
        return self._handed_over is None or self._handed_over.done()

    async def _by_writer(self, work: Callable[[], T]) -> T:
        self._check_open()
        self._handed_over = self._writing.submit(work)
        return await asyncio.wrap_future(self._handed_over)

    async def _when_free(self, work: Callable[[], T]) -> T:
        """Run on the event loop, unless the writing thread uses the connection."""
        return work() if self._is_idle() else await self._by_writer(work)

    def _write_at_once(self, work: Callable[[Session], T]) -> T:
        """Run on the event loop. Raises Aborted: another program holds the lock. The next try is
        left to the thread, which can wait for it.
        """
        self._check_open()
        try:
            with self._handover.time():
                return self._write(work, patient=False)
        except StoreUnavailable as error:
            if is_locked(error):
                self._handover.note_lock()
                raise Aborted(str(error)) from error
            raise

    def _write(self, work: Callable[[Session], T], *, patient: bool = True) -> T:
        """Run the transaction, and check the files after its commit: what others cannot find must
        not be acknowledged.
        """
        self._be_patient(patient)
        with translate_errors(self.where), transaction(self._writer, WRITE):
            result = work(Session(self._writer, SQLITE))
        self._files.check()
        self._log.size = self._files.log_size()
        return result

    def _look(self, work: Callable[[Session], T]) -> T:
        connection = self._readers.get()  # there is one for each read that may run at a time
        try:
            with translate_errors(self.where), transaction(connection, READ):
                return work(Session(connection, SQLITE))
        finally:
            self._readers.put(connection)

    def _changed_elsewhere(self) -> bool:
        seen, self._data_version = self._data_version, self._read_data_version()
        return seen != self._data_version

    def _read_data_version(self) -> int:
        """Return a number that changes when another connection commits, and not when this one
        does.
        """
        with translate_errors(self.where):
            version: int = driver(self._writer).execute("PRAGMA data_version").fetchone()[0]
        return version
