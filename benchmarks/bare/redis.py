"""redis-py."""

# redis-py leaves the types of its calls open:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from redis.asyncio import Redis

from benchmarks.bare.driver import Call, Repeat


class BareRedis:
    """The bare driver."""

    def __init__(self) -> None:
        self._execute: Any = Redis.execute_command  # itself, while calls are recorded

    @contextmanager
    def recording(self) -> Generator[list[Call]]:
        calls: list[Call] = []
        execute = self._execute

        async def recorded(self: Any, *arguments: Any, **options: Any) -> Any:
            calls.append(Call(id(self), "execute_command", arguments))
            return await execute(self, *arguments, **options)

        with patch.object(Redis, "execute_command", recorded):
            yield calls

    @asynccontextmanager
    async def repeating(
        self, url: str, twin: str, so_far: Sequence[Call]
    ) -> AsyncGenerator[Repeat]:
        """Copy the store to the twin: its id and its epochs, which scripts get, would differ."""
        database = urlsplit(twin).path.strip("/")
        connect: Any = Redis.from_url
        async with connect(url) as original, connect(twin) as client:
            for key in await self._execute(original, "KEYS", "*"):
                await self._execute(original, "COPY", key, key, "DB", database, "REPLACE")

            async def repeat(calls: Sequence[Call]) -> None:
                for call in calls:
                    await self._execute(client, *call.arguments)

            yield repeat
