"""redis-py."""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from redis.asyncio import Redis

from benchmarks.bare.driver import Call, Repeat


class BareRedis:
    """Bare."""

    @contextmanager
    def recording(self) -> Generator[list[Call]]:
        calls: list[Call] = []
        execute_command = Redis.execute_command

        async def recorded(self: Any, *arguments: Any, **options: Any) -> Any:
            calls.append(Call(id(self), "execute_command", arguments))
            return await execute_command(self, *arguments, **options)

        with patch.object(Redis, "execute_command", recorded):
            yield calls

    @asynccontextmanager
    async def repeating(self, url: str, twin: str) -> AsyncGenerator[Repeat]:
        """The twin becomes a copy: scripts are told the store's id, and refuse to work on another one."""
        async with Redis.from_url(url) as original, Redis.from_url(twin) as client:
            for key in await original.keys():
                await original.copy(key, key, destination_db=urlsplit(twin).path.strip("/"), replace=True)

            async def repeat(calls: Sequence[Call]) -> None:
                for call in calls:
                    await client.execute_command(*call.arguments)

            yield repeat
