"""The actors of a deployment, as the supervisor handles them."""

import asyncio
import logging
import re
import time
from typing import Any, Protocol

from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import records_adapter
from workflow_ray.records import Deployment, Role
from workflow_ray.runtime.ipc.calls import DeploymentCall
from workflow_ray.runtime.ipc.methods import DEPLOYMENT
from workflow_ray.runtime.ray import actors
from workflow_ray.runtime.ray.actors import STORE, SUPERVISOR, Actor, ActorGone
from workflow_ray.runtime.ray.adapter_actor import AdapterActor
from workflow_ray.runtime.ray.role_actor import RoleActor
from workflow_ray.runtime.ray.state import Wanted
from workflow_ray.runtime.ray.stores import Deployed

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for the store to say what should run."""
FREED = 5.0
"""Seconds for Ray to free the name of an actor that was killed."""
POLL = 0.01

THE_STORE = Wanted(STORE, None)


class Member(Protocol):
    """One life of an actor."""

    async def ask(self, method: str, *arguments: object) -> Any: ...


class Crew(Protocol):
    """What the supervisor needs of Ray and of the store; its tests have another."""

    async def deployment(self) -> Deployment:
        """What should run. Raises StoreUnavailable."""
        ...

    def present(self) -> list[str]:
        """The names that actors hold now, the supervisor's own left out."""
        ...

    def adopt(self, name: str) -> Member:
        """The actor that holds the name. Raises ActorGone."""
        ...

    def hire(self, wanted: Wanted, deployment: Deployment) -> Member:
        """Start an actor. Raises ActorGone: its name is taken."""
        ...

    async def dismiss(self, name: str, member: Member) -> None:
        """Kill this one life, not what may hold its name by now, and wait until it doesn't hold it any more, or for some seconds."""
        ...


class RayCrew:
    """See Crew."""

    def __init__(self, deployed: Deployed) -> None:
        self._deployed = deployed

    async def deployment(self) -> Deployment:
        # asked once, not by a transport that waits for the adapter actor to come back: it is the supervisor that brings it back
        try:
            async with asyncio.timeout(PATIENCE):
                store = actors.find(STORE, self._deployed.namespace)
                return DEPLOYMENT.result(await store.ask("call", DEPLOYMENT.name, DEPLOYMENT.request(DeploymentCall())))
        except (ActorGone, TimeoutError) as error:
            raise StoreUnavailable("the store", f"its adapter actor doesn't answer: {error}") from error

    def present(self) -> list[str]:
        return [name for name in actors.names(self._deployed.namespace) if name != SUPERVISOR]

    def adopt(self, name: str) -> Actor:
        return actors.find(name, self._deployed.namespace)

    def hire(self, wanted: Wanted, deployment: Deployment) -> Actor:
        deployed = self._deployed
        if wanted.role is None:
            pinned = not records_adapter(deployed.urls.records).shared  # to its file; a server is reached from any node
            return actors.create(
                AdapterActor, (deployed,), name=wanted.name, namespace=deployed.namespace, node=deployed.node, pinned=pinned
            )
        arguments = (wanted.role, wanted.code, deployment, deployed)
        return actors.create(RoleActor, arguments, name=wanted.name, namespace=deployed.namespace)

    async def dismiss(self, name: str, member: Member) -> None:
        if not isinstance(member, Actor):
            raise TypeError(member)
        member.kill()
        end = time.monotonic() + FREED
        while self._holds(name, member):
            if time.monotonic() > end:
                return log.warning("Ray doesn't free the name %s of an actor that was killed", name, extra={"role": name})
            await asyncio.sleep(POLL)
        return None

    def _holds(self, name: str, actor: Actor) -> bool:
        try:
            return actors.find(name, self._deployed.namespace).id == actor.id
        except ActorGone:
            return False


def role_named(name: str) -> Role | None:
    """The role whose actor has the name; None: it isn't a role's."""
    parts = re.fullmatch(r"(.+)-(\d+)-of-(\d+)", name)
    return Role(parts[1], int(parts[2]), int(parts[3])) if parts else None
