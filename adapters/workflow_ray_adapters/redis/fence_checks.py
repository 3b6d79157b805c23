"""Checks whether roles still hold their fences, together.

Idle roles check from time to time, with a group that writes nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence

from workflow_ray.records import Committed, Fenced, GroupResult, RoleName, WriteGroup
from workflow_ray_adapters.redis.scripts import EPOCHS
from workflow_ray_adapters.redis.server import Server

INTERVAL = 0.1
"""Seconds between two checks. The requests in between are gathered for the next one."""


def is_fence_check(group: WriteGroup) -> bool:
    """Whether the group has nothing but a fence."""
    return group.fence is not None and group == WriteGroup(fence=group.fence)


class FenceChecks:
    """Answers the first request at once, and those that follow it soon together."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._asked = set[RoleName]()
        self._next_look: asyncio.Task[Mapping[RoleName, int]] | None = None
        self._looked_at = -INTERVAL

    async def check(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        fences = [group.fence for group in groups if group.fence is not None]
        epochs = await self._epochs({fence.role for fence in fences})
        return [
            Committed(())
            if epochs[fence.role] == fence.epoch
            else Fenced(fence.role, epochs[fence.role])
            for fence in fences
        ]

    async def _epochs(self, roles: set[RoleName]) -> Mapping[RoleName, int]:
        self._asked |= roles
        if self._next_look is None:
            self._next_look = asyncio.create_task(self._look())
            self._next_look.add_done_callback(_retrieve)
        # A caller that is cancelled does not cancel the check for the others.
        return await asyncio.shield(self._next_look)

    async def _look(self) -> Mapping[RoleName, int]:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._looked_at + INTERVAL - loop.time()))
        self._looked_at = loop.time()
        asked = sorted(self._asked)
        self._asked = set[RoleName]()
        self._next_look = None
        return dict(zip(asked, map(int, await self._server.call(EPOCHS, *asked)), strict=True))


def _retrieve(look: asyncio.Task[Mapping[RoleName, int]]) -> None:
    """Retrieve the error of a check that no caller waits for, so that asyncio does not log it."""
    if not look.cancelled():
        look.exception()
