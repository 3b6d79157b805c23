"""Who has a store exclusively."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from time import monotonic
from uuid import uuid4

from workflow_ray.errors import StoreError, StoreInUse
from workflow_ray_adapters.redis.background import background
from workflow_ray_adapters.redis.scripts import HOLD, LET_GO
from workflow_ray_adapters.redis.server import Server

log = logging.getLogger(__name__)

LASTS = 4.0
"""Seconds by the server's clock after which it ends by itself: its holder has died, or is cut off.
Shorter than others' patience.
"""
RENEWED = 1.0  # every so many seconds
PAUSE = 0.1  # seconds between two tries


@asynccontextmanager
async def held(server: Server, patience: float) -> AsyncGenerator[None]:
    """Wait up to `patience` seconds for another holder to leave. Raises StoreInUse.

    A holder that stood still for so long that its hold ended may find another in its place. It logs
    that and goes on: the other has acquired the roles since, so their fences refuse what this one
    writes, and nothing else depends on being alone.
    """
    token, deadline = str(uuid4()), monotonic() + patience
    while not await _hold(server, token):
        if monotonic() >= deadline:
            raise StoreInUse(
                server.where,
                "another process has it exclusively. Stop that one first, or attach to it.",
            )
        await asyncio.sleep(PAUSE)
    try:
        async with background(
            "keeper of the store's lock", server.where, partial(_renew, server, token)
        ):
            yield
    finally:
        with suppress(StoreError):  # it ends by itself then
            await server.call(LET_GO, token)


async def _renew(server: Server, token: str) -> None:
    mine = True
    while True:
        await asyncio.sleep(RENEWED)
        try:
            before, mine = mine, await _hold(server, token)
        except StoreError:  # whoever uses the store is told; this one tries again
            continue
        if before and not mine:
            log.error(
                "%s: this process stood still for so long that another has the store exclusively by"
                " now.",
                server.where,
            )


async def _hold(server: Server, token: str) -> bool:
    return bool(await server.call(HOLD, token, round(LASTS * 1000)))
