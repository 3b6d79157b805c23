"""Groups that write nothing: they check whether a role still holds its fence. Idle roles do so now
and then, each by itself.
"""

import asyncio
from collections.abc import Sequence

from workflow_ray.records import Committed, Fenced, GroupResult, RoleName, WriteGroup
from workflow_ray_adapters.sql import roles
from workflow_ray_adapters.sql.database import Database

INTERVAL = 0.1
"""Seconds between two reads of fences. The checks that come in between share the next read."""


def is_fence_check(group: WriteGroup) -> bool:
    return group.fence is not None and group == WriteGroup(
        fence=group.fence, timeouts_apart=group.timeouts_apart
    )


class FenceChecks:
    """Answer checks together: the first at once, those that follow soon with the next read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked = set[RoleName]()
        self._next_look: asyncio.Task[dict[RoleName, int]] | None = None
        self._looks = set[asyncio.Task[dict[RoleName, int]]]()
        self._looked_at = -INTERVAL

    async def check(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        fences = [group.fence for group in groups if group.fence is not None]
        epochs = await self._epochs({fence.role for fence in fences})
        current = [epochs.get(fence.role, 0) for fence in fences]
        return [
            Committed(()) if epoch == fence.epoch else Fenced(fence.role, epoch)
            for fence, epoch in zip(fences, current, strict=True)
        ]

    async def _epochs(self, names: set[RoleName]) -> dict[RoleName, int]:
        self._asked |= names
        if self._next_look is None:
            self._next_look = asyncio.create_task(self._look())
            self._looks.add(self._next_look)
            self._next_look.add_done_callback(self._ended)
        # one who gives up does not take the others' answer away
        return await asyncio.shield(self._next_look)

    def _ended(self, look: asyncio.Task[dict[RoleName, int]]) -> None:
        self._looks.discard(look)
        if not look.cancelled():
            look.exception()  # retrieve the error, whether or not anybody still waits for it

    async def _look(self) -> dict[RoleName, int]:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._looked_at + INTERVAL - loop.time())
        self._looked_at = loop.time()
        asked = self._asked
        self._asked = set[RoleName]()
        self._next_look = None
        return dict(await self._database.read(lambda session: roles.epochs(session, asked)))
