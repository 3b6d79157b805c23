"""One of several processes that share the roles of a store, without Ray."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Sequence

from workflow_ray.errors import StoreError
from workflow_ray.ports import Clock, Store, persist
from workflow_ray.records import Role
from workflow_ray.runtime.players import Players

log = logging.getLogger(__name__)

LEASE = 10.0
"""Seconds after its last heartbeat that a process keeps its roles; then the others take them over."""
BEATS = 3
"""Heartbeats in that time."""


class Member:
    """Says by a heartbeat that this process lives, hears what it is to play, and has it played.

    What it holds when it stood still for longer than a lease is another's: the fence keeps its writes out until it hears of that.
    """

    def __init__(self, players: Players, store: Store, clock: Clock, *, lease: float = LEASE) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._players, self._store, self._clock, self._lease = players, store, clock, lease
        self._roles: dict[str, Role] = {}
        self._task: asyncio.Task[None] | None = None

    async def join(self) -> None:
        """Be one of the members, so far without a role. Raises StoreInUse: a process has the store for itself."""
        await self._beat()
        self._task = asyncio.create_task(self._live(), name=self.name)

    async def play(self, roles: Sequence[Role]) -> None:
        """Take a fair share of these roles from now on; at once what is free."""
        self._roles = {role.name: role for role in roles}
        await self._beat()

    async def leave(self) -> None:
        """Finish what is being played, and leave what can't be finished to the others, at once."""
        self._roles = {}
        await self._players.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._players.close()  # what the last heartbeat may have brought
        try:
            await self._store.leave(self.name)
        except StoreError as error:
            log.warning("%s; others take over in %g s", error, self._lease, extra={"member": self.name})

    async def _live(self) -> None:
        while True:
            await self._clock.wait(asyncio.Event(), self._lease / BEATS)
            try:
                await persist(self._beat, self._clock, self.name)
            except StoreError as error:
                log.warning("%s; the next heartbeat is in %.1f s", error, self._lease / BEATS, extra={"member": self.name})
            except Exception:
                log.exception("a heartbeat failed; the next is in %.1f s", self._lease / BEATS, extra={"member": self.name})

    async def _beat(self) -> None:
        roles = self._roles
        async with self._players.releasing:
            shared = await self._store.share(self.name, list(roles.values()), self._players.held(), lease=self._lease)
        for name in shared.lost:
            log.warning("role %s has gone to another process", name, extra={"role": name, "member": self.name})
        self._players.abandon(shared.lost)
        self._players.finish(shared.surplus)
        for fence in shared.acquired:
            self._players.start(roles[fence.role], fence)
