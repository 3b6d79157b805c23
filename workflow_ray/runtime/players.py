"""The roles that this process plays, each a task."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from workflow_ray.errors import RoleLost
from workflow_ray.ports import LONGEST_PAUSE, Clock, Store, persist
from workflow_ray.records import Fence, Role, RoleName
from workflow_ray.runtime.hosting import AnyWorkflow, run_role

log = logging.getLogger(__name__)

STOPPING = 10.0
"""Seconds that roles get to finish what they have in hand; steps still running then are made again by whoever plays next."""
FIRST_RESTART = 0.1
"""Seconds before a role that crashed is started again; doubles up to LONGEST_PAUSE."""


@dataclass(eq=False)
class _Part:
    """One role, from its being taken to its end."""

    role: Role
    fence: Fence
    stop: asyncio.Event = field(default_factory=asyncio.Event)


class Players:
    """Each role is played, whatever happens to it, until it is finished or abandoned. `close` ends them all."""

    def __init__(self, workflows: Sequence[AnyWorkflow], store: Store, clock: Clock) -> None:
        self._workflows, self._store, self._clock = workflows, store, clock
        self._parts: dict[RoleName, _Part] = {}
        self._tasks: dict[_Part, asyncio.Task[None]] = {}  # also of parts that were abandoned, until they have ended
        self.releasing = asyncio.Lock()
        """Held while a role is released, and by whoever says which are held, so that none is said to be once it is released."""

    def held(self) -> list[Fence]:
        """Those played now, also such as are about to leave."""
        return [part.fence for part in self._parts.values()]

    def start(self, role: Role, fence: Fence) -> None:
        """Play a role that was just taken."""
        part = self._parts[role.name] = _Part(role, fence)
        task = self._tasks[part] = asyncio.create_task(self._keep(part), name=role.name)
        task.add_done_callback(lambda _: self._ended(part))

    def finish(self, roles: Iterable[RoleName]) -> None:
        """Have these stop, finish what they have in hand, and release their roles."""
        for part in self._named(roles):
            part.stop.set()

    def abandon(self, roles: Iterable[RoleName]) -> None:
        """End these at once: another holds their roles, or will."""
        for part in self._named(roles):
            self._forget(part)
            self._tasks[part].cancel()

    async def close(self) -> None:
        """Finish all for up to STOPPING seconds; then abandon what still runs."""
        self.finish(list(self._parts))
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=STOPPING)
        self.abandon(list(self._parts))
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _named(self, roles: Iterable[RoleName]) -> list[_Part]:
        return [self._parts[role] for role in roles if role in self._parts]

    def _ended(self, part: _Part) -> None:
        del self._tasks[part]
        self._forget(part)

    def _forget(self, part: _Part) -> None:
        if self._parts.get(part.role.name) is part:
            del self._parts[part.role.name]

    async def _keep(self, part: _Part) -> None:
        pause, where = FIRST_RESTART, {"role": part.role.name}
        while not part.stop.is_set():
            try:
                await run_role(part.role, part.fence, self._workflows, self._store, self._clock, part.stop)
                await self._release(part)
            except RoleLost as error:
                log.warning("%s", error, extra=where)
                return
            except Exception:
                log.exception("role %s crashed; starting it again in %.1f s", part.role.name, pause, extra=where)
                await self._clock.wait(part.stop, pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _release(self, part: _Part) -> None:
        async with self.releasing:
            await persist(lambda: self._store.release(part.fence), self._clock, part.role.name)
            self._forget(part)
