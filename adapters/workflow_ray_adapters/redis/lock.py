"""The lock of a store that is open exclusively."""

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
RENEWED = 1.0  # seconds between renewals
PAUSE = 0.1  # seconds between two attempts


@asynccontextmanager
async def hold(server: Server, patience: float) -> AsyncGenerator[None]:
    """Wait up to `patience` seconds for another holder to leave, and hold the lock.

    A holder that was stopped for longer than the lock lasts may find that another process has it.
    It logs that and goes on: the other process has acquired the roles, so their fences refuse the
    writes of this one, and nothing else depends on the lock.

    Raises StoreInUse.
    """
    token, deadline = str(uuid4()), monotonic() + patience
    while not await _acquire(server, token):
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
        with suppress(StoreError):  # the lock ends by itself
            await server.call(LET_GO, token)


async def _renew(server: Server, token: str) -> None:
    mine = True
    while True:
        await asyncio.sleep(RENEWED)
        try:
            before, mine = mine, await _acquire(server, token)
        except StoreError:  # Callers of the store get the error; this task tries again.
            continue
        if before and not mine:
            log.error(
                "%s: this process was stopped for so long that another has the store exclusively"
                " now.",
                server.where,
            )


async def _acquire(server: Server, token: str) -> bool:
    return bool(await server.call(HOLD, token, round(LASTS * 1000)))
