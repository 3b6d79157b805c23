"""Transactions of an application in the file of a store."""

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import Connection
from sqlalchemy import Dialect as Driver
from sqlalchemy.exc import SQLAlchemyError

from workflow_ray.ports import Clock, StepTransaction
from workflow_ray.records import GroupResult, WriteGroup
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.joined.last_group import JOINING, WriteLast, is_complete
from workflow_ray_adapters.sql.joined.transactions import SqlTransactions
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.sqlite.connections import WRITE, driver, open_writer, set_patience
from workflow_ray_adapters.sql.sqlite.dialect import SQLITE, Sqlite

if TYPE_CHECKING:
    from sqlalchemy.orm import Session as OrmSession

PATIENCE = 30.0
"""Seconds that a step waits for the write lock."""
MAIN = "main"
"""SQLite's name of the file that a connection was opened with."""


@dataclass(frozen=True)
class FileTransaction:
    """A StepTransaction on a file. It holds the write lock."""

    session: "OrmSession"
    connection: Connection
    write_last: WriteLast

    async def commit(self, group: WriteGroup) -> GroupResult:
        """See StepTransaction. It ends with its thread, also when it is cancelled: nobody else may
        use the connection meanwhile.
        """
        loop = asyncio.get_running_loop()
        committing = loop.run_in_executor(None, self._commit, group)
        try:
            return await asyncio.shield(committing)
        finally:
            while not committing.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({committing})
            committing.exception()  # retrieve it, although it may not be what is raised

    def _commit(self, group: WriteGroup) -> GroupResult:
        self.session.commit()
        answer = self.write_last(self.connection, group)
        (self.connection.commit if is_complete(answer) else self.connection.rollback)()
        return answer


def _close(connection: Connection) -> None:
    with suppress(SQLAlchemyError):
        connection.rollback()
    with suppress(SQLAlchemyError):
        connection.close()


def _retire(raw: sqlite3.Connection) -> None:
    """Roll the transaction of a connection back, and let it write nothing more. A plain function
    that has exceeded its time limit may still use it, in its thread: closing it there would crash
    the process. It is closed when nothing refers to it any more.
    """
    for statement in ("PRAGMA query_only = ON", "ROLLBACK"):
        with suppress(sqlite3.Error):  # it is in no transaction
            raw.execute(statement)


class _Opening:
    """Opens a connection in a thread, and closes it if nobody waits for it any more."""

    def __init__(self, open_it: Callable[[], Connection]) -> None:
        self._open = open_it
        self._opened = deque[Connection]()
        self._is_given_up = False

    async def connection(self) -> Connection:
        try:
            await asyncio.to_thread(self._run)
        except BaseException:
            self._is_given_up = True
            self._drop()
            raise
        return self._opened.pop()

    def _run(self) -> None:
        self._opened.append(self._open())
        if self._is_given_up:
            self._drop()

    def _drop(self) -> None:
        with suppress(IndexError):  # it is not open yet, or the other thread closes it
            _close(self._opened.pop())


class SqliteTransactions(SqlTransactions):
    """Transactions in the file of a store. Such a transaction is the only one that writes: the
    store's own wait for it.
    """

    names: ClassVar[Sequence[str]] = ("sqlite",)

    def __init__(self, path: str, clock: Clock, store_id: str) -> None:
        super().__init__(path, clock, store_id)
        self._turn = asyncio.Lock()  # a role has one transaction at a time
        self._kept: Connection | None = None  # the connection, between two of them

    @property
    def for_async(self) -> bool:
        return False

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[StepTransaction]:
        # loaded here, because every client has such an object, and most never call this
        from sqlalchemy.orm import Session as OrmSession

        async with self._turn:
            kept, self._kept = self._kept, None
            connection = await _Opening(partial(self._open, kept)).connection()
            session = OrmSession(connection, join_transaction_mode=JOINING)
            try:
                yield FileTransaction(session, connection, self._write_of_step)
            except Exception:
                await asyncio.to_thread(_close, connection)
                raise
            except BaseException:
                raw = driver(connection)
                raw.interrupt()
                await asyncio.to_thread(_retire, raw)
                raise
            await asyncio.to_thread(self._keep, session, connection)

    async def close(self) -> None:
        if self._kept is not None:
            await asyncio.to_thread(self._kept.close)
            self._kept = None

    def _open(self, kept: Connection | None) -> Connection:
        """Return a connection that holds the write lock."""
        connection = kept or open_writer(self._where)
        try:
            set_patience(connection, PATIENCE)
            connection.begin()
        except BaseException:
            connection.close()
            raise
        return connection

    def _keep(self, session: "OrmSession", connection: Connection) -> None:
        """Keep the connection for the next transaction. One that was not committed is rolled
        back.
        """
        session.close()
        connection.rollback()
        self._kept = connection

    def _write_of_step(self, connection: Connection, group: WriteGroup) -> GroupResult:
        return self._write_last(connection, SQLITE, group)

    def _begin(self, connection: Connection) -> None:
        """Begin a transaction, if none has begun. The driver begins one with the first row that is
        written; a savepoint before that would be a transaction of its own, which is committed when
        the savepoint is released.
        """
        if not connection.in_transaction():
            connection.begin()
        raw: Any = connection.connection.driver_connection
        if not raw.in_transaction:
            connection.exec_driver_sql(WRITE)

    def _locate(self, connection: Connection) -> str:
        for _, name, path in connection.exec_driver_sql("PRAGMA database_list"):
            if name == MAIN and path and os.path.exists(self._where):
                if os.path.samefile(path, self._where):
                    return MAIN
                raise self._elsewhere(f"it is in the file {path}")
        raise self._elsewhere("it has no file")

    def _dialect(self, driver: Driver) -> Dialect:
        return Sqlite(driver, row_locks=False)

    def _notify(self, session: Session) -> None:
        """Do nothing: other processes notice each commit in the file."""
