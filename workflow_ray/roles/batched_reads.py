"""Reads that many attempts ask for one by one, and that are made together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BatchedReads(Generic[K, V]):
    """Gathers the keys that are asked for while the event loop is busy, or while a read goes on.

    Args:
        read: Reads the values of many keys. It may return only those of the first ones, at least of
            one.
        spawn: Starts a task whose errors end the role.
    """

    def __init__(
        self,
        read: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._read = read
        self._spawn = spawn
        self._asked: dict[K, asyncio.Future[V]] = {}
        self._is_reading = False

    async def get(self, key: K) -> V:
        """Read the value of one key."""
        if key not in self._asked:
            self._asked[key] = asyncio.get_running_loop().create_future()
        if not self._is_reading:
            self._is_reading = True
            self._spawn(self._read_all())
        # others may wait for the same key
        return await asyncio.shield(self._asked[key])

    async def _read_all(self) -> None:
        try:
            while self._asked:
                found = await self._read(list(self._asked))
                for key, value in found.items():
                    answer = self._asked.pop(key)
                    if not answer.done():
                        answer.set_result(value)
        finally:
            self._is_reading = False
