"""asyncmy."""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, Self
from unittest.mock import patch
from urllib.parse import urlsplit

import asyncmy
from asyncmy.connection import Connection

from benchmarks.bare.driver import Call, Repeat

METHODS = ("autocommit", "begin", "commit", "rollback")


class BareMariadb:
    """Bare. What a cursor was asked for is asked of a cursor again, so that the driver binds its parameters again."""

    @contextmanager
    def recording(self) -> Generator[list[Call]]:
        calls: list[Call] = []
        connect, cursor = asyncmy.connect, Connection.cursor

        async def connected(**options: Any) -> Any:
            connection = await connect(**options)
            calls.append(Call(id(connection), "connect", (options,)))
            return connection

        def recorded_cursor(self: Any, kind: Any = None) -> Any:
            return _Cursor(cursor(self, kind), calls, id(self))

        with ExitStack() as stack:
            stack.enter_context(patch.object(asyncmy, "connect", connected))
            stack.enter_context(patch.object(Connection, "cursor", recorded_cursor))
            for method in METHODS:
                stack.enter_context(patch.object(Connection, method, _recorded(calls, method)))
            yield calls

    @asynccontextmanager
    async def repeating(self, url: str, twin: str) -> AsyncGenerator[Repeat]:
        database = urlsplit(twin).path.strip("/")
        connections: dict[int, Any] = {}

        async def repeat(calls: Sequence[Call]) -> None:
            for call in calls:
                if call.method == "connect":
                    connections[call.target] = await asyncmy.connect(**{**call.arguments[0], "db": database})
                elif call.method in METHODS:
                    await getattr(connections[call.target], call.method)(*call.arguments)
                else:
                    async with connections[call.target].cursor() as cursor:
                        await getattr(cursor, call.method)(*call.arguments)
                        await cursor.fetchall()

        try:
            yield repeat
        finally:
            for connection in connections.values():
                connection.close()


def _recorded(calls: list[Call], method: str) -> Any:
    original = getattr(Connection, method)

    async def recorded(self: Any, *arguments: Any) -> Any:
        calls.append(Call(id(self), method, arguments))
        return await original(self, *arguments)

    return recorded


class _Cursor:
    """The driver's, which can't be subclassed without losing its quickest path."""

    def __init__(self, cursor: Any, calls: list[Call], target: int) -> None:
        self._cursor, self._calls, self._target = cursor, calls, target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    async def __aenter__(self) -> Self:
        await self._cursor.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._cursor.__aexit__(*error)

    async def execute(self, *arguments: Any) -> Any:
        self._calls.append(Call(self._target, "execute", arguments))
        return await self._cursor.execute(*arguments)

    async def executemany(self, *arguments: Any) -> Any:
        self._calls.append(Call(self._target, "executemany", arguments))
        return await self._cursor.executemany(*arguments)
