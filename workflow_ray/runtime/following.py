"""Following the deployment: processes run the roles that its newest version wants."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import TypeAlias

from workflow_ray.errors import WorkflowError
from workflow_ray.ports import Clock, Store, persist
from workflow_ray.records import Deployment, Role
from workflow_ray.runtime.hosting import roles_of
from workflow_ray.runtime.role_runner import RoleRunner, is_from_outside

log = logging.getLogger(__name__)

POLL = 20.0
"""Seconds that one wait for a newer deployment takes."""
DRAINING = 5.0
"""Seconds for which the roles of a draining group rest, if no newer deployment comes."""
AGAIN = 1.0
"""Seconds until the next look at roles that were still finishing, or after an error."""

Apply: TypeAlias = Callable[[Deployment, bool], Awaitable[bool]]
"""Applies a deployment. With True, groups that are draining rest. Returns whether all is done."""


async def follow(deployment: Deployment, store: Store, clock: Clock, apply: Apply) -> None:
    """Apply the newest deployment, again and again, until cancelled. Errors are logged.

    Args:
        deployment: The newest one that is known.
        store: Holds the deployment.
        clock: Measures the waits.
        apply: Starts and stops roles.
    """
    begun = clock.monotonic()
    while True:
        try:
            rest = begun + DRAINING - clock.monotonic()
            is_draining = rest > 0 and any(workflow.draining for workflow in deployment.workflows)
            is_done = await apply(deployment, is_draining)
            wait = rest if is_draining else POLL if is_done else AGAIN
            newer = await store.deployment(newer_than=deployment.version, wait=wait)
            if newer.version > deployment.version:
                deployment, begun = newer, clock.monotonic()
        except BaseException as error:
            if is_from_outside(error):
                raise
            if isinstance(error, WorkflowError):
                log.warning("%s; the deployment is read again in %g s", error, AGAIN)
            else:
                log.exception("following the deployment failed; it is read again in %g s", AGAIN)
            await clock.wait(asyncio.Event(), AGAIN)


def runnable(
    deployment: Deployment, groups: Collection[str], *, rests: bool
) -> tuple[dict[str, Role], dict[str, Role]]:
    """Return the roles of these groups that are to run, and those that rest, both by name.

    Args:
        deployment: Says which roles there are.
        groups: The groups that the process can run.
        rests: Whether the roles of draining groups rest.
    """
    draining = (
        {group for workflow in deployment.workflows for group in workflow.draining}
        if rests
        else set[str]()
    )
    roles = [role for role in roles_of(deployment.workflows) if role.group in groups]
    return (
        {role.name: role for role in roles if role.group not in draining},
        {role.name: role for role in roles if role.group in draining},
    )


class SoleWorker:
    """The only process that runs roles on its store: it acquires all of them."""

    def __init__(
        self, runner: RoleRunner, store: Store, clock: Clock, groups: Collection[str]
    ) -> None:
        self._runner = runner
        self._store = store
        self._clock = clock
        self._groups = groups
        self._current = Deployment(store_id=""), True  # the last arguments of `apply`
        self._applying = asyncio.Lock()

    async def set_groups(self, groups: Collection[str]) -> None:
        """Run only roles of these groups from now on."""
        self._groups = groups
        await self.apply(*self._current)

    async def apply(self, deployment: Deployment, rests: bool) -> bool:
        """See Apply. Abandons roles that a newer deployment has fenced off."""
        async with self._applying:
            self._current = deployment, rests
            return await self._apply(deployment, rests)

    async def _apply(self, deployment: Deployment, rests: bool) -> bool:
        wanted, resting = runnable(deployment, self._groups, rests=rests)
        held = {fence.role for fence in self._runner.held()}
        self._runner.abandon(held - wanted.keys() - resting.keys())
        self._runner.finish(held & resting.keys())
        for role in wanted.values():
            if role.name not in held:
                await self._start(role)
        return not self._runner.stopping()

    async def _start(self, role: Role) -> None:
        self._runner.start(
            role, await persist(lambda: self._store.acquire(role), self._clock, role.name)
        )
