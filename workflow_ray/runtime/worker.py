"""One of several processes that share the roles of a store, without Ray."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Collection, Coroutine
from typing import Any

from workflow_ray.errors import StoreError
from workflow_ray.ports import Clock, Store, persist
from workflow_ray.records import Deployment, Role
from workflow_ray.runtime.following import follow, runnable
from workflow_ray.runtime.role_runner import STOPPING, RoleRunner, is_from_outside

log = logging.getLogger(__name__)

LEASE = 10.0
"""Seconds after its last heartbeat that a process keeps its roles; then others take them over."""
HEARTBEATS = 3
"""Heartbeats in the time of a lease."""


class Worker:
    """Sends the heartbeats of this process, and runs the roles that the store assigns to it.

    A process that was suspended for longer than a lease has lost its roles. Until its next
    heartbeat tells it so, the fences refuse its writes.
    """

    def __init__(
        self, runner: RoleRunner, store: Store, clock: Clock, *, lease: float = LEASE
    ) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._runner = runner
        self._store = store
        self._clock = clock
        self._lease = lease
        self._groups: Collection[str] = ()
        self._current = Deployment(store_id=""), True  # the last arguments of `_apply`
        self._roles: dict[str, Role] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self) -> None:
        """Register this process as a worker. It has no role yet.

        Raises:
            StoreInUse: A process has the store for itself.
        """
        await self._heartbeat()
        self._spawn(self._send_heartbeats())

    async def run(self, groups: Collection[str], deployment: Deployment) -> None:
        """Acquire a fair share of the roles of these groups, free ones at once, and follow the
        deployment from now on.

        Args:
            groups: Those that the code of this process can run.
            deployment: The newest one that is known.
        """
        self._groups = groups
        await self._apply(deployment, True)
        self._spawn(follow(deployment, self._store, self._clock, self._apply))

    async def set_groups(self, groups: Collection[str]) -> None:
        """Run only roles of these groups from now on."""
        self._groups = groups
        await self._apply(*self._current)

    async def leave(self, deadline: float = STOPPING) -> bool:
        """Stop the roles and release them, so that other workers take over at once.

        Returns:
            Whether all work in hand was finished within `deadline` seconds.
        """
        self._groups = ()
        self._roles = {}
        is_finished = await self._runner.close(deadline)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.close()  # roles that the last heartbeat may have acquired
        try:
            await self._store.leave(self.name)
        except StoreError as error:
            log.warning(
                "%s; others take over in %g s", error, self._lease, extra={"worker": self.name}
            )
        return is_finished

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=self.name))

    async def _apply(self, deployment: Deployment, rests: bool) -> bool:
        """See following.Apply. Roles that this process is not to run any more are lost or surplus
        at the next heartbeat.
        """
        self._current = deployment, rests
        wanted, _ = runnable(deployment, self._groups, rests=rests)
        if wanted != self._roles:
            self._roles = wanted
            await self._heartbeat()
        return True

    async def _send_heartbeats(self) -> None:
        pause = self._lease / HEARTBEATS
        while True:
            await self._clock.wait(asyncio.Event(), pause)
            try:
                await persist(self._heartbeat, self._clock, self.name)
            except StoreError as error:
                log.warning(
                    "%s; the next heartbeat is in %.1f s", error, pause, extra={"worker": self.name}
                )
            except BaseException as error:
                if is_from_outside(error):
                    raise
                log.exception(
                    "a heartbeat failed; the next is in %.1f s", pause, extra={"worker": self.name}
                )

    async def _heartbeat(self) -> None:
        async with self._runner.releasing:
            roles = self._roles
            shared = await self._store.share(
                self.name, list(roles.values()), self._runner.held(), lease=self._lease
            )
        for name in shared.lost:
            log.warning(
                "another process has taken over role %s",
                name,
                extra={"role": name, "worker": self.name},
            )
        self._runner.abandon(shared.lost)
        self._runner.finish(shared.surplus)
        for fence in shared.acquired:
            self._runner.start(roles[fence.role], fence)
