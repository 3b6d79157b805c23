"""asyncpg."""

# asyncpg publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from benchmarks.bare.driver import Call, Repeat

OF_STATEMENTS = ("executemany", "fetch", "fetchrow", "fetchval")
METHODS = ("execute", *OF_STATEMENTS)


class BarePostgresql:
    """The bare driver. It also prepares statements, once per connection."""

    @contextmanager
    def recording(self) -> Generator[list[Call]]:
        calls: list[Call] = []
        connect: Any = asyncpg.connect

        async def connected(**options: Any) -> Any:
            connection = await connect(**options)
            calls.append(Call(id(connection), "connect", (options,)))
            return connection

        def of_connection(connection: Any, method: str, arguments: tuple[Any, ...]) -> Call:
            return Call(id(connection), method, arguments)

        def of_statement(statement: Any, method: str, arguments: tuple[Any, ...]) -> Call:
            return Call(
                id(statement._connection), f"prepared {method}", (statement.get_query(), *arguments)
            )

        with ExitStack() as stack:
            stack.enter_context(patch.object(asyncpg, "connect", connected))
            for method in METHODS:
                stack.enter_context(
                    patch.object(
                        asyncpg.Connection,
                        method,
                        _recorded(calls, asyncpg.Connection, method, of_connection),
                    )
                )
            for method in OF_STATEMENTS:
                stack.enter_context(
                    patch.object(
                        PreparedStatement,
                        method,
                        _recorded(calls, PreparedStatement, method, of_statement),
                    )
                )
            yield calls

    @asynccontextmanager
    async def repeating(
        self, url: str, twin: str, so_far: Sequence[Call]
    ) -> AsyncGenerator[Repeat]:
        database = urlsplit(twin).path.strip("/")
        connect: Any = asyncpg.connect
        connections: dict[int, Any] = {}
        prepared: dict[tuple[int, str], Any] = {}

        async def repeat(calls: Sequence[Call]) -> None:
            for call in calls:
                if call.method == "connect":
                    connections[call.target] = await connect(
                        **{**call.arguments[0], "database": database}
                    )
                elif call.method in METHODS:
                    await getattr(connections[call.target], call.method)(*call.arguments)
                else:
                    query, *arguments = call.arguments
                    if (call.target, query) not in prepared:
                        prepared[call.target, query] = await connections[call.target].prepare(query)
                    await getattr(
                        prepared[call.target, query], call.method.removeprefix("prepared ")
                    )(*arguments)

        try:
            await repeat(list(so_far))
            yield repeat
        finally:
            for connection in connections.values():
                await connection.close()


def _recorded(
    calls: list[Call],
    kind: type[Any],
    method: str,
    call: Callable[[Any, str, tuple[Any, ...]], Call],
) -> Any:
    original = getattr(kind, method)

    async def recorded(self: Any, *arguments: Any, **options: Any) -> Any:
        calls.append(call(self, method, arguments))
        return await original(self, *arguments, **options)

    return recorded
