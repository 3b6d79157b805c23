"""A deployment on Ray as its drivers see it. They come and go; it stays."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from workflow_ray.definition import Workflow
from workflow_ray.errors import InvalidInput, RuntimeUnavailable, StoreInUse
from workflow_ray.ports import SystemClock, adapter_for, scheme_of
from workflow_ray.records import DeployedWorkflow
from workflow_ray.runtime.hosting import deployed, merge, roles_of
from workflow_ray.runtime.lane import RemoteStore
from workflow_ray.runtime.ray import actors, cluster
from workflow_ray.runtime.ray.actors import STORE
from workflow_ray.runtime.ray.control import Control
from workflow_ray.runtime.ray.stores import Deployed, Route, transport_to
from workflow_ray.runtime.ray.supervisor import DRAIN, ActorStatus
from workflow_ray.runtime.runtime import Runtime, records_url

PATIENCE = 2.0
"""Seconds for the processes of a deployment that has just ended to let go of the store."""


class RayRuntime(Runtime):
    """See `Runtime.ray`. The process stays connected to Ray until it ends.

    route: how drivers and roles reach the store: `auto`, or one way for all of them, as tests and measurements want it. It is settled
    by the driver that starts the deployment.
    """

    def __init__(
        self,
        workflows: Sequence[Workflow[Any, Any]],
        records: str | None,
        *,
        address: str | None = None,
        namespace: str | None = None,
        route: Route = "auto",
    ) -> None:
        super().__init__(workflows, records)
        self._address, self._namespace = address, namespace
        self._route: Route = route
        self._control: Control | None = None  # from the first entering on

    async def __aenter__(self) -> Self:
        for workflow in self._workflows.values():
            workflow.checked()
        described = [deployed(workflow) for workflow in self._workflows.values()]
        records = _canonical(self.records)
        if not cluster.exists(self._address):  # what can't be deployed is refused before anything is started
            await _prepared(records, described)
        await asyncio.to_thread(cluster.connect, self._address)
        control = await self._found_or_started(records, described)
        self._transport = transport_to(control.deployed)
        store = RemoteStore(self._transport, control.deployed.store_id)
        try:
            await control.settle([STORE])
            target = await merge(store, described)
            await control.settle([role.name for role in roles_of(described)], target.version)
        except BaseException:
            self._transport.close()
            raise
        self._control, self._store = control, store
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._store = None
        self._transport.close()

    async def status(self) -> list[ActorStatus]:
        """How the deployment's actors stand, other drivers' workflows included. Raises RuntimeUnavailable."""
        return await self._entered(self._control).status()

    async def down(self, *, deadline: float = DRAIN) -> None:
        """End all its actors, other drivers' workflows included: roles are drained for up to `deadline` seconds. The records stay."""
        await self._entered(self._control).down(deadline)

    async def _found_or_started(self, records: str, described: Sequence[DeployedWorkflow]) -> Control:
        namespace = self._namespace or actors.namespace_of(records)
        control = await Control.find(namespace)
        if control is None:
            try:
                control = await self._started(namespace, records, described)
            except StoreInUse:
                control = await Control.find(namespace)  # of another driver, which was faster
                if control is None:
                    raise
        if control.deployed.records != records:
            why = f"works on {control.deployed.records}, not on {records}; leave the namespace out, or name another"
            raise RuntimeUnavailable(f"the deployment {namespace!r}", why)
        return control

    async def _started(self, namespace: str, records: str, described: Sequence[DeployedWorkflow]) -> Control:
        store_id = await _prepared(records, described)
        node = actors.this_node()  # that of the store's file
        return await Control.start(Deployed(records=records, store_id=store_id, namespace=namespace, node=node, route=self._route))


async def status(records: str | None = None, *, address: str | None = None, namespace: str | None = None) -> list[ActorStatus]:
    """How the actors of a store's deployment stand; none: nothing is deployed on it. Starts nothing. Raises RuntimeUnavailable."""
    control = await _found(records, address, namespace)
    return await control.status() if control else []


async def down(records: str | None = None, *, address: str | None = None, namespace: str | None = None, deadline: float = DRAIN) -> bool:
    """End all actors of a store's deployment, whatever drivers it has: roles are drained for up to `deadline` seconds.

    False: nothing was deployed on it. The records stay, and so does the cluster. Raises RuntimeUnavailable.
    """
    control = await _found(records, address, namespace)
    if control:
        await control.down(deadline)
    return control is not None


async def _found(records: str | None, address: str | None, namespace: str | None) -> Control | None:
    if not cluster.exists(address):
        return None
    await asyncio.to_thread(cluster.connect, address)
    return await Control.find(namespace or actors.namespace_of(_canonical(records_url(records))))


def _canonical(records: str) -> str:
    if scheme_of(records) == "memory":
        raise InvalidInput(records, "is kept by one process, and Ray has many; use sqlite:///FILE, or Runtime.local")
    return adapter_for(records).canonical(records)


async def _prepared(records: str, described: Sequence[DeployedWorkflow]) -> str:
    """Make the store if there is none, and have it say what should run. Returns its id.

    Raises StoreInUse: roles work on it, in another process or under another namespace.
    """
    adapter, clock = adapter_for(records), SystemClock()
    store_id = await asyncio.to_thread(adapter.create, records)
    async with adapter.open(records, clock=clock, store_id=store_id, patience=PATIENCE) as store:
        await merge(store, described)
    return store_id
