"""How a role waits for an answer, and stops waiting."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LONG_POLL = 20.0
"""Seconds that a role asks a store to wait for work; hints end it early."""


async def unless_stopped(stop: asyncio.Event, call: Coroutine[Any, Any, T]) -> T | None:
    """The call's answer; None where `stop` came first, and the call was cancelled."""
    answer, stopped = asyncio.ensure_future(call), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({answer, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else None
    finally:
        stopped.cancel()
        if not answer.done():
            answer.cancel()
            await asyncio.wait({answer})
