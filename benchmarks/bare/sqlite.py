"""sqlite3 of the standard library."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any, Self
from unittest.mock import patch

from benchmarks.bare.driver import Call, Repeat


class BareSqlite:
    """The bare driver. Opens the file as the adapter does: the settings are recorded calls."""

    @contextmanager
    def recording(self) -> Generator[list[Call]]:
        calls: list[Call] = []
        connect = sqlite3.connect

        def recorded(*arguments: Any, **options: Any) -> sqlite3.Connection:
            return connect(*arguments, factory=_recorded(calls), **options)

        with patch("sqlite3.connect", recorded):
            yield calls

    @asynccontextmanager
    async def repeating(
        self, url: str, twin: str, so_far: Sequence[Call]
    ) -> AsyncGenerator[Repeat]:
        connections: dict[int, sqlite3.Connection] = {}

        def repeat_all(calls: Sequence[Call]) -> None:
            for call in calls:
                if call.target not in connections:
                    path = twin.removeprefix("sqlite:///")
                    connections[call.target] = sqlite3.connect(
                        path, isolation_level=None, check_same_thread=False
                    )
                _repeat(connections[call.target], call)

        async def repeat(calls: Sequence[Call]) -> None:
            # it blocks, which no caller with an event loop could afford
            await asyncio.to_thread(repeat_all, calls)

        try:
            await repeat(list(so_far))
            yield repeat
        finally:
            for connection in connections.values():
                connection.close()


def _repeat(connection: sqlite3.Connection, call: Call) -> None:
    if call.method in ("commit", "rollback"):
        getattr(connection, call.method)()
        return
    with closing(connection.cursor()) as cursor:
        getattr(cursor, call.method)(*call.arguments)
        cursor.fetchall()


def _recorded(calls: list[Call]) -> type[sqlite3.Connection]:
    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, parameters: Any = (), /) -> Self:
            calls.append(Call(id(self.connection), "execute", (sql, parameters)))
            return super().execute(sql, parameters)

        def executemany(self, sql: str, parameters: Iterable[Any], /) -> Self:
            rows = list(parameters)
            calls.append(Call(id(self.connection), "executemany", (sql, rows)))
            return super().executemany(sql, rows)

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = None) -> Any:
            return super().cursor(Cursor)

        def commit(self) -> None:
            calls.append(Call(id(self), "commit"))
            super().commit()

        def rollback(self) -> None:
            calls.append(Call(id(self), "rollback"))
            super().rollback()

    return Connection
