"""Starting, finding and killing the actors of a deployment, for the supervisor."""

import asyncio
import logging
import re
import time
from typing import Any, Protocol

from workflow_ray.definition import RayOptions
from workflow_ray.ports import records_adapter
from workflow_ray.records import Deployment, Role
from workflow_ray.runtime.ipc import records_over
from workflow_ray.runtime.ray import actors
from workflow_ray.runtime.ray.actors import STORE, SUPERVISOR, Actor, ActorGone
from workflow_ray.runtime.ray.adapter_actor import AdapterActor
from workflow_ray.runtime.ray.role_actor import RoleActor
from workflow_ray.runtime.ray.state import Wanted
from workflow_ray.runtime.ray.stores import Deployed, OneCall

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for the store to answer which actors should run."""
FREED = 5.0
"""Seconds for Ray to free the name of an actor that was killed."""
POLL = 0.01

THE_STORE = Wanted(STORE, None)


class RegisteredActor(Protocol):
    """An actor, by its id. An actor that gets its name later is another one."""

    async def ask(self, method: str, *arguments: object) -> Any:
        """Call a method. Raises ActorGone, and what the method raises."""
        ...


class ActorRegistry(Protocol):
    """What the supervisor needs from Ray and from the store. Its tests use one without Ray."""

    async def deployment(self, *, newer_than: int | None = None, wait: float = 0.0) -> Deployment:
        """Read the deployment; see `RecordStore.deployment`. Raises StoreUnavailable."""
        ...

    def names(self) -> list[str]:
        """Return the names that actors hold now, without the supervisor's."""
        ...

    def attach(self, name: str) -> RegisteredActor:
        """Find the actor that holds the name. Raises ActorGone."""
        ...

    def start(self, wanted: Wanted, deployment: Deployment, asks: RayOptions) -> RegisteredActor:
        """Start an actor, on a node that has what it asks for. Raises ActorGone: its name is
        taken.
        """
        ...

    async def kill(self, name: str, actor: RegisteredActor) -> None:
        """Kill this actor, and wait some seconds until its name is free.

        If another actor has the name by now, it is left alone.
        """
        ...


class RayRegistry:
    """See ActorRegistry."""

    def __init__(self, deployed: Deployed) -> None:
        self._deployed = deployed

    async def deployment(self, *, newer_than: int | None = None, wait: float = 0.0) -> Deployment:
        # Asked once, not through a transport that waits until the adapter actor is back: the
        # supervisor itself brings it back.
        records = records_over(OneCall(self._deployed.namespace), patience=PATIENCE)
        return await records.deployment(newer_than=newer_than, wait=wait)

    def names(self) -> list[str]:
        return [name for name in actors.names(self._deployed.namespace) if name != SUPERVISOR]

    def attach(self, name: str) -> Actor:
        return actors.find(name, self._deployed.namespace)

    def start(self, wanted: Wanted, deployment: Deployment, asks: RayOptions) -> Actor:
        deployed = self._deployed
        if wanted.role is None:
            # A file is on one node; a server is reached from any node.
            node = None if records_adapter(deployed.urls.records).shared else deployed.node
            return actors.create(
                AdapterActor, (deployed,), name=wanted.name, namespace=deployed.namespace, node=node
            )
        arguments = (wanted.role, wanted.code, deployment, deployed, asks)
        return actors.create(
            RoleActor, arguments, name=wanted.name, namespace=deployed.namespace, asks=asks
        )

    async def kill(self, name: str, actor: RegisteredActor) -> None:
        if not isinstance(actor, Actor):
            raise TypeError(actor)
        actor.kill()
        end = time.monotonic() + FREED
        while self._holds(name, actor):
            if time.monotonic() > end:
                return log.warning(
                    "Ray does not free the name %s of an actor that was killed",
                    name,
                    extra={"role": name},
                )
            await asyncio.sleep(POLL)
        return None

    def _holds(self, name: str, actor: Actor) -> bool:
        try:
            return actors.find(name, self._deployed.namespace) == actor
        except ActorGone:
            return False


def role_named(name: str) -> Role | None:
    """Return the role whose actor has the name. None: the actor runs no role."""
    parts = re.fullmatch(r"(.+)-(\d+)-of-(\d+)", name)
    return Role(parts[1], int(parts[2]), int(parts[3])) if parts else None
