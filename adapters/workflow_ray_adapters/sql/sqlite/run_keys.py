"""Transactions of the keys of runs, in a SQLite file."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, NullPool, create_engine, event

T = TypeVar("T")
PATIENCE = 5.0
"""Seconds to wait for another process's transaction."""


class FileRunner:
    """Runs work in transactions, in threads. Each opens the file, which only its owner can read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._engine = create_engine(
            "sqlite://", creator=self._connect, poolclass=NullPool, hide_parameters=True
        )
        event.listen(self._engine, "begin", _begin)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """See Runner."""
        return await asyncio.to_thread(self._run, work)

    def _run(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)

    def _connect(self) -> sqlite3.Connection:
        if not os.path.exists(self._path):
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        raw = sqlite3.connect(
            self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )
        # so that nothing of a deleted key stays in the file
        raw.execute("PRAGMA secure_delete = ON")
        return raw


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
