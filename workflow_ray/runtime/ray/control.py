"""Calls of drivers to the supervisor of a deployment."""

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, Self

from workflow_ray.errors import RuntimeUnavailable
from workflow_ray.runtime.ray import actors, cluster
from workflow_ray.runtime.ray.actor_status import ActorStatus
from workflow_ray.runtime.ray.actors import FOREVER, SUPERVISOR, ActorGone
from workflow_ray.runtime.ray.registry import role_named
from workflow_ray.runtime.ray.stores import Deployed
from workflow_ray.runtime.ray.supervision import DRAIN, SLACK
from workflow_ray.runtime.ray.supervisor import Supervisor
from workflow_ray.runtime.urls import place_of, records_url

log = logging.getLogger(__name__)

START = 120.0
"""Seconds that a deployment gets to come up: each of its actors takes a second or two of a core."""
STANDBY = 20.0
"""Seconds that the new shards of a group get to be on standby. Then its count changes anyway."""
RESTART = 10.0
"""Seconds for killed actors to be gone."""
ANSWER = 30.0
"""Seconds for the supervisor to answer. It may have died, and be started again; and while many
actors start, they leave it little of the node's cores.
"""
RETRY = 0.1
"""Seconds between attempts to reach the supervisor."""


class Control:
    """A deployment on Ray, found by its namespace. Another driver may end it at any time."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed

    @classmethod
    async def find(cls, namespace: str) -> Self | None:
        """Find the deployment of that namespace. None: it does not exist.

        Raises RuntimeUnavailable: its supervisor does not answer.
        """
        if SUPERVISOR not in actors.names(namespace):
            return None
        return cls(await _asked(namespace, "deployed"))

    @classmethod
    async def start(cls, deployed: Deployed) -> Self:
        """Start a deployment, or find the one that another driver has just started."""
        with suppress(ActorGone):
            actors.create(
                Supervisor,
                (deployed,),
                name=SUPERVISOR,
                namespace=deployed.namespace,
                restarts=FOREVER,
            )
        return cls(await _asked(deployed.namespace, "deployed"))

    async def status(self) -> list[ActorStatus]:
        """Return the status of every actor that should run, or runs, by name.

        Raises RuntimeUnavailable.
        """
        status: list[ActorStatus] = await _asked(self.deployed.namespace, "status")
        return status

    async def refresh(self) -> None:
        """Have the supervisor read the deployment now. Raises RuntimeUnavailable."""
        await _asked(self.deployed.namespace, "refresh")

    async def restart(self, names: Sequence[str]) -> None:
        """Have these actors finish their work in hand, and end. The supervisor starts them again.

        Raises:
            RuntimeUnavailable: It does not answer.
        """
        await _asked(self.deployed.namespace, "restart", names, wait=DRAIN + SLACK)

    async def prepare(self, group: str, shards: int) -> None:
        """Start the actors of a group's next shard count, and wait some seconds until they are on
        standby. Raises RuntimeUnavailable.
        """
        await _asked(self.deployed.namespace, "prepare", group, shards, STANDBY, wait=STANDBY)

    async def settle(self, names: Sequence[str], version: int = 0) -> None:
        """Have the supervisor read the deployment, and wait until these actors run. One that waits
        for a node that has what its step asks for is not waited for.

        Args:
            names: The names of the actors.
            version: The version of the deployment that they are to run for; a later one is fine.

        Raises:
            RuntimeUnavailable: An actor does not come up. The error names it and the reason.
        """
        end = time.monotonic() + START
        await self.refresh()
        while True:
            wait = max(end - time.monotonic(), 0.0)
            found: list[ActorStatus] = await _asked(
                self.deployed.namespace, "settled", names, wait, version, wait=wait
            )
            down = [one for one in found if not one.is_settled]
            if not down:
                for one in found:
                    if one.is_unplaced:
                        log.warning("%s: %s", one.name, one.why, extra={"role": one.name})
                return
            if any(one.is_hopeless for one in down) or time.monotonic() > end:
                raise RuntimeUnavailable(
                    f"the deployment {self.deployed.namespace!r}", _excuse(down)
                )

    async def wait_for_end(self, groups: Collection[str]) -> None:
        """Have the supervisor read the deployment, and wait until no actor has a role of these
        groups.

        Raises:
            RuntimeUnavailable: It does not answer, or some of the actors do not end.
        """
        await self.refresh()
        end = time.monotonic() + DRAIN + SLACK + RESTART
        while names := [one.name for one in await self.status() if _group_of(one) in groups]:
            if time.monotonic() > end:
                raise _do_not_end(self.deployed.namespace, names)
            await asyncio.sleep(RETRY)

    async def down(self, deadline: float = DRAIN) -> None:
        """End all actors of the namespace. First, roles drain for up to `deadline` seconds."""
        namespace = self.deployed.namespace
        with suppress(ActorGone, TimeoutError):
            supervisor = actors.find(SUPERVISOR, namespace)
            async with asyncio.timeout(2 * (deadline + SLACK)):  # the roles, then the store
                await supervisor.ask("shutdown", deadline)
        await _swept(namespace)


async def find_running(
    records: str | None = None, *, address: str | None = None, namespace: str | None = None
) -> Control | None:
    """Find what runs on Ray for a store. Starts nothing.

    Args:
        records: The store's URL. Default: as for `Runtime.ray`.
        address: Of the Ray cluster. Default: as for `Runtime.ray`.
        namespace: Of the actors. Default: the store's.

    Returns:
        None: nothing of it runs on Ray.

    Raises:
        RuntimeUnavailable: The supervisor does not answer.
    """
    if not cluster.exists(address):
        return None
    await asyncio.to_thread(cluster.connect, address)
    return await Control.find(namespace or actors.namespace_of(place_of(records_url(records))))


async def _asked(namespace: str, method: str, *arguments: object, wait: float = 0.0) -> Any:
    """Ask the supervisor, and repeat that if it is being restarted.

    Args:
        namespace: The deployment's.
        method: Of the supervisor.
        arguments: Of the method.
        wait: Seconds for which the method itself may wait before it answers.

    Raises:
        RuntimeUnavailable: It does not answer.
    """
    failure = f"no answer within {wait + ANSWER:g} s"
    with suppress(TimeoutError):
        async with asyncio.timeout(wait + ANSWER):
            while True:
                try:
                    return await actors.find(SUPERVISOR, namespace).ask(method, *arguments)
                except ActorGone as error:
                    failure = str(error)
                await asyncio.sleep(RETRY)
    why = f"its supervisor does not answer: {failure}; `workflow-ray down`, then deploy again"
    raise RuntimeUnavailable(f"the deployment {namespace!r}", why)


async def _swept(namespace: str) -> None:
    """Kill the actors that are left; first the supervisor, because it would start others again."""
    end = time.monotonic() + RESTART
    while names := actors.names(namespace):
        if time.monotonic() > end:
            raise _do_not_end(namespace, names)
        for name in sorted(names, key=lambda name: name != SUPERVISOR):
            with suppress(ActorGone):
                actors.find(name, namespace).kill()
        await asyncio.sleep(RETRY)


def _do_not_end(namespace: str, names: Sequence[str]) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        f"the deployment {namespace!r}", f"some actors do not end: {', '.join(names)}"
    )


def _group_of(actor: ActorStatus) -> str | None:
    """Return the group of the actor's role. None: it has no role."""
    role = role_named(actor.name)
    return role.group if role else None


def _excuse(down: Sequence[ActorStatus]) -> str:
    first = max(down, key=lambda one: (one.is_hopeless, bool(one.why)))
    others = f" (and {len(down) - 1} more)" if len(down) > 1 else ""
    return (
        f"{first.name} does not come up{others}:"
        f" {first.why or f'it is {first.phase} after {START:g} s'}"
    )
