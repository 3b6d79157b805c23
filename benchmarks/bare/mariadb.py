"""asyncmy."""

# asyncmy publishes few types:
# mypy: disable-error-code="no-untyped-call"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, Self
from unittest.mock import patch
from urllib.parse import urlsplit

import asyncmy
from asyncmy.connection import Connection

from benchmarks.bare.driver import Call, Repeat

METHODS = ("autocommit", "begin", "commit", "query", "rollback")


class BareMariadb:
    """The bare driver. Repeats the calls of cursors, so that it binds the parameters again."""

    @contextmanager
    def recording(self) -> Generator[list[Call]]:
        calls: list[Call] = []
        nested: set[int] = set()  # connections that execute what the driver itself asks for
        initialise, connect, cursor = Connection.__init__, Connection.connect, Connection.cursor
        settings: dict[int, dict[str, Any]] = {}

        def initialised(self: Any, **options: Any) -> None:
            initialise(self, **options)
            settings[id(self)] = options

        async def connected(self: Any) -> None:
            calls.append(Call(id(self), "connect", (settings[id(self)],)))
            with _within(nested, id(self)):
                await connect(self)

        def recorded_cursor(self: Any, kind: Any = None) -> Any:
            return _Cursor(cursor(self, kind), calls, nested, id(self))

        with ExitStack() as stack:
            for name, replacement in {
                "__init__": initialised,
                "connect": connected,
                "cursor": recorded_cursor,
            }.items():
                stack.enter_context(patch.object(Connection, name, replacement))
            for method in METHODS:
                stack.enter_context(
                    patch.object(Connection, method, _recorded(calls, nested, method))
                )
            yield calls

    @asynccontextmanager
    async def repeating(
        self, url: str, twin: str, so_far: Sequence[Call]
    ) -> AsyncGenerator[Repeat]:
        database = urlsplit(twin).path.strip("/")
        connect: Any = asyncmy.connect
        connections: dict[int, Any] = {}

        async def repeat(calls: Sequence[Call]) -> None:
            for call in calls:
                if call.method == "connect":
                    connections[call.target] = await connect(
                        **{**call.arguments[0], "database": database}
                    )
                elif call.method in METHODS:
                    await getattr(connections[call.target], call.method)(*call.arguments)
                else:
                    async with connections[call.target].cursor() as cursor:
                        await getattr(cursor, call.method)(*call.arguments)
                        await cursor.fetchall()

        try:
            await repeat(list(so_far))
            yield repeat
        finally:
            for connection in connections.values():
                connection.close()


@contextmanager
def _within(nested: set[int], target: int) -> Generator[None]:
    nested.add(target)
    try:
        yield
    finally:
        nested.discard(target)


def _recorded(calls: list[Call], nested: set[int], method: str) -> Any:
    original = getattr(Connection, method)

    async def recorded(self: Any, *arguments: Any) -> Any:
        if id(self) not in nested:
            calls.append(Call(id(self), method, arguments))
        return await original(self, *arguments)

    return recorded


class _Cursor:
    """Wraps the driver's cursor: a subclass of that would lose its fastest path."""

    def __init__(self, cursor: Any, calls: list[Call], nested: set[int], target: int) -> None:
        self._cursor = cursor
        self._calls = calls
        self._nested = nested
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    async def __aenter__(self) -> Self:
        await self._cursor.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._cursor.__aexit__(*error)

    async def execute(self, *arguments: Any) -> Any:
        return await self._call("execute", arguments)

    async def executemany(self, *arguments: Any) -> Any:
        return await self._call("executemany", arguments)

    async def _call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        self._calls.append(Call(self._target, method, arguments))
        with _within(self._nested, self._target):
            return await getattr(self._cursor, method)(*arguments)
