"""Roles as tasks of this process: no server, one file."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from workflow_ray.errors import RoleLost, RoleRetired
from workflow_ray.ports import LONGEST_PAUSE, Store, adapter_for
from workflow_ray.records import Role
from workflow_ray.runtime.hosting import deployed_here, merge, play, roles_of
from workflow_ray.runtime.lane.address import announce
from workflow_ray.runtime.lane.server import LaneServer
from workflow_ray.runtime.runtime import Runtime

log = logging.getLogger(__name__)

STOPPING = 10.0
"""Seconds that roles get to finish what they have in hand; steps still running then are made again next time."""
FIRST_RESTART = 0.1
"""Seconds before a role that crashed is started again; doubles up to LONGEST_PAUSE."""


class LocalRuntime(Runtime):
    """See `Runtime.local`. Other processes of this user reach the same store beside it, by `connect` and the command line."""

    async def __aenter__(self) -> Self:
        described = [deployed_here(workflow) for workflow in self._workflows.values()]
        adapter = adapter_for(self.records)
        store_id = await asyncio.to_thread(adapter.create, self.records)
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(adapter.open(self.records, clock=self._clock, store_id=store_id))
            await merge(store, described)
            path = stack.enter_context(announce(adapter.canonical(self.records)))
            lane = LaneServer(store)
            await lane.start(path)
            stack.push_async_callback(lane.close)
            self._stop = asyncio.Event()
            self._tasks = [asyncio.create_task(self._keep(role, store), name=role.name) for role in roles_of(described)]
            stack.push_async_callback(self._stopped)
            self._stack, self._store = stack.pop_all(), store
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._store = None
        await self._stack.aclose()

    async def _keep(self, role: Role, store: Store) -> None:
        """Have the role played until the end, whatever happens to it."""
        pause = FIRST_RESTART
        while not self._stop.is_set():
            try:
                await play(role, list(self._workflows.values()), store, self._clock, self._stop)
            except (RoleLost, RoleRetired) as error:
                log.warning("%s", error, extra={"role": role.name})
                return
            except Exception:
                log.exception("role %s crashed; starting it again in %.1f s", role.name, pause, extra={"role": role.name})
                await self._clock.wait(self._stop, pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _stopped(self) -> None:
        self._stop.set()
        await asyncio.wait(self._tasks, timeout=STOPPING)
        await _cancelled(self._tasks)


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
