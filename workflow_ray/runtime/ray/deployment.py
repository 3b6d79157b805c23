"""A deployment on Ray, as its drivers use it. It stays when they end."""

import asyncio
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from pydantic import BaseModel

from workflow_ray.client.inputs import checked_status
from workflow_ray.definition import Status, Workflow
from workflow_ray.definition.arguments import checked_flag, checked_text
from workflow_ray.errors import InvalidInput, RuntimeUnavailable, StoreInUse
from workflow_ray.ports import Store, SystemClock, records_adapter
from workflow_ray.records import DeployedWorkflow, Deployment, consumer_group
from workflow_ray.runtime.bridge import Bridge, bridged
from workflow_ray.runtime.deploy_terms import STRICT, DeployTerms
from workflow_ray.runtime.deploying import describe, merge
from workflow_ray.runtime.hosting import group_roles, own_groups, roles_of
from workflow_ray.runtime.ipc import remote_store
from workflow_ray.runtime.ray import actors, cluster
from workflow_ray.runtime.ray.actor_status import ActorStatus
from workflow_ray.runtime.ray.actors import STORE
from workflow_ray.runtime.ray.changes import AS_ASKED, WorkflowChange, changes
from workflow_ray.runtime.ray.control import Control
from workflow_ray.runtime.ray.log_files import log_folder
from workflow_ray.runtime.ray.stores import LIMITS, Deployed, Limits, Route, transport_to
from workflow_ray.runtime.ray.supervision import DRAIN
from workflow_ray.runtime.runtime import Runtime
from workflow_ray.runtime.scaling import scale
from workflow_ray.runtime.stores import create, open_store
from workflow_ray.runtime.transactional import check_transactional
from workflow_ray.runtime.undeploying import undeploy
from workflow_ray.runtime.urls import Urls

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)

PATIENCE = 2.0
"""Seconds to wait until the processes of a deployment that ended have closed the store."""


class RayRuntime(Runtime):
    """See `Runtime.ray`. The process stays connected to Ray until it ends.

    The driver that starts the deployment decides its route and its limits. The other arguments are
    those of `Runtime.ray`.

    Args:
        route: How drivers and roles reach the store: `auto`, or one way for all of them, for tests
            and measurements.
        limits: How long actors may fail to answer.
    """

    def __init__(
        self,
        workflows: Sequence[Workflow[Any, Any]],
        urls: Urls,
        *,
        address: str | None = None,
        namespace: str | None = None,
        route: Route = "auto",
        limits: Limits = LIMITS,
        restart: bool = False,
        terms: DeployTerms = STRICT,
    ) -> None:
        super().__init__(workflows, urls, terms=terms)
        self._address = _checked_name("address", address)
        self._namespace = _checked_name("namespace", namespace)
        self._restart = checked_flag("restart", restart)
        self.changes: Sequence[WorkflowChange] = ()
        """What entering the runtime has started, restarted and left as it was, by workflow."""
        self._route: Route = route
        self._limits = limits
        self._control: Control | None = None  # from the first entering on

    async def __aenter__(self) -> Self:
        self._begin_again()
        for workflow in self._workflows.values():
            workflow.checked()
        described = [describe(workflow) for workflow in self._workflows.values()]
        urls = self.urls.checked_for_several().absolute()
        check_transactional(self._workflows.values(), urls.records, elsewhere=True)
        # Errors are raised before Ray is started, which takes seconds.
        if not cluster.exists(self._address):
            await self._prepared(urls, described)
        elif records_adapter(urls.records).shared:
            await asyncio.to_thread(create, urls)
        await asyncio.to_thread(cluster.connect, self._address)
        control, is_new = await self._found_or_started(urls, described)
        self._transport = transport_to(control.deployed)
        try:
            store = await self._deployed(control, described, is_new=is_new)
        except BaseException:
            self._transport.close()
            raise
        self._control = control
        self._bridge = Bridge(asyncio.get_running_loop())
        self._store = bridged(store, self._bridge)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._store is not None:
            self._begin_leaving()
            self._bridge.close()
            self._transport.close()

    async def _drain(self, deadline: float, hurried: asyncio.Event) -> bool:
        """Leave the runtime at once: the roles are actors, and go on."""
        await self.__aexit__(None, None, None)
        return True

    async def _deployed(
        self, control: Control, described: Sequence[DeployedWorkflow], *, is_new: bool
    ) -> Store:
        """Deploy the workflows, and wait until their roles run with this code.

        Returns the store.
        """
        await control.settle([STORE])
        store = await remote_store(self._transport)
        ran = Deployment(store_id=store.store_id) if is_new else await store.deployment()
        target = await self._merged(store, described)
        self.changes = changes(ran, target, self._workflows, restart=self._restart)
        # These have the shard counts that operators have set.
        deployed_now = [
            workflow for workflow in target.workflows if workflow.name in self._workflows
        ]
        roles = [role.name for role in roles_of(deployed_now)]
        if asked := await self._to_restart(control, roles):
            await control.restart(asked)
        await control.settle(roles, target.version)
        return store

    async def _to_restart(self, control: Control, roles: Collection[str]) -> list[str]:
        """Return the roles whose restart was asked for, and those whose definition could not be
        loaded: now that this process has loaded it, they need not wait for their next start.
        """
        asked = [role for one in self.changes if one.why == AS_ASKED for role in one.roles]
        failing = [
            one.name for one in await control.status() if one.is_failing and one.name in roles
        ]
        return [*asked, *(name for name in failing if name not in asked)]

    async def scale(self, workflow: Workflow[D, S], status: S, *, shards: int | None) -> int:
        """See `Runtime.scale`. Starts the actors of the new shards before the current shards stop.
        Returns once the new shards run.
        """
        self._check_known(workflow)
        number: int = checked_status("status", workflow, status).value
        control = self._entered(self._control)
        count = await scale(
            self.store,
            workflow.name,
            number,
            shards=shards,
            clock=self._clock,
            prepare=control.prepare,
        )
        group = consumer_group(workflow.name, number)
        deployment = await self.store.deployment()
        await control.settle([role.name for role in group_roles(group, count)], deployment.version)
        return count

    async def _undeploy(self, name: str, force: bool) -> None:
        """See `Runtime.undeploy`. Returns once the actors of the workflow have ended."""
        control = self._entered(self._control)
        removed = await undeploy(self.store, name, force=force, clock=self._clock)
        await control.wait_for_end(own_groups(removed))

    async def status(self) -> list[ActorStatus]:
        """Return the status of all actors of the deployment, whichever driver has started them.

        Raises RuntimeUnavailable.
        """
        return await self._entered(self._control).status()

    async def down(self, *, deadline: float = DRAIN) -> None:
        """End all actors of the deployment, whichever driver has started them. The records stay.

        Args:
            deadline: Seconds for the roles to finish their work in hand.
        """
        await self._entered(self._control).down(deadline)

    async def _found_or_started(
        self, urls: Urls, described: Sequence[DeployedWorkflow]
    ) -> tuple[Control, bool]:
        """Find the deployment, or start it. Returns also whether it was started here."""
        places = urls.places
        namespace = self._namespace or actors.namespace_of(places.records)
        control = await Control.find(namespace)
        is_new = control is None
        if control is None:
            try:
                control = await self._started(namespace, urls, described)
            except StoreInUse:
                control = await Control.find(namespace)  # another driver has started it
                is_new = False
                if control is None:
                    raise
        if (at := control.deployed.places) != places:
            way_out = (
                "end it first"
                if at.records == places.records
                else "leave the namespace out, or name another"
            )
            raise RuntimeUnavailable(
                f"the deployment {namespace!r}", f"works on {at}, not on {places}; {way_out}"
            )
        return control, is_new

    async def _started(
        self, namespace: str, urls: Urls, described: Sequence[DeployedWorkflow]
    ) -> Control:
        store_id = await self._prepared(urls, described)
        plan = Deployed(
            urls=urls,
            places=urls.places,
            store_id=store_id,
            namespace=namespace,
            node=actors.this_node(),
            logs=str(log_folder(namespace)),
            route=self._route,
            limits=self._limits,
        )
        return await Control.start(plan)

    async def _prepared(self, urls: Urls, described: Sequence[DeployedWorkflow]) -> str:
        """Make the store if it does not exist, and write the deployment into it. Returns its id.

        Raises StoreInUse: roles work on it, in another process or under another namespace.
        """
        store_id = await asyncio.to_thread(create, urls)
        async with open_store(
            urls, clock=SystemClock(), store_id=store_id, patience=PATIENCE
        ) as store:
            await self._merged(store, described)
        return store_id

    async def _merged(self, store: Store, described: Sequence[DeployedWorkflow]) -> Deployment:
        return await merge(
            store, described, self._terms, definitions=list(self._workflows.values())
        )


def _checked_name(what: str, name: object) -> str | None:
    """Check a name that may be left out. Raises InvalidInput."""
    if name is not None and not checked_text(what, name):
        raise InvalidInput(what, "it is empty; leave it out for the default")
    return cast(str | None, name)
