"""Calls of codecs that are under way. They take real time, which a test has to wait for."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

_under_way: set[asyncio.Future[None]] = set()


async def tracked(call: Awaitable[T]) -> T:
    """Await a call of a codec, so that `wait_for_codecs` knows of it."""
    ended = asyncio.get_running_loop().create_future()
    _under_way.add(ended)
    try:
        return await call
    finally:
        _under_way.discard(ended)
        ended.set_result(None)


async def wait_for_codecs() -> bool:
    """Wait until one of the calls in this event loop has ended. Returns False if there are none."""
    loop = asyncio.get_running_loop()
    calls = [call for call in tuple(_under_way) if call.get_loop() is loop]
    if calls:
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    return bool(calls)
