"""The actor of one role, of any process type."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from workflow_ray.definition import RayOptions
from workflow_ray.definition.ray_options import NOTHING
from workflow_ray.errors import RoleRetired, WorkflowError
from workflow_ray.ports import Clock, Store, SystemClock, persist
from workflow_ray.records import Deployment, Fence, Role, WriteGroup
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.loopwatch import Occupant, reason
from workflow_ray.roles.observation import Observation
from workflow_ray.runtime.heap import keep_loaded
from workflow_ray.runtime.hosting import (
    AnyWorkflow,
    has_time_limit,
    load_definitions,
    ray_options_of,
    roles_of,
)
from workflow_ray.runtime.ipc import remote_store
from workflow_ray.runtime.ray.log_files import write_log
from workflow_ray.runtime.ray.replacement import until_due
from workflow_ray.runtime.ray.state import (
    DRAINING,
    ActorReport,
    Phase,
    Wanted,
    wanted_by,
)
from workflow_ray.runtime.ray.stores import Deployed, transport_to
from workflow_ray.runtime.ray.work import ActorWork, AsksForMore
from workflow_ray.runtime.role_processes import run_role

log = logging.getLogger(__name__)

RELEASING = 5.0
"""Seconds for which a release is tried. A role that is not released is in doubt."""
STANDBY = 60.0
"""Seconds for which an actor waits to be wanted. The supervisor ends it sooner, if it lives."""
CHARGING = 10.0
"""Seconds for storing that an attempt has failed because it blocks the loop."""


class RoleActor:
    """Acquires its role and runs it until it is asked to stop, loses it, or crashes.

    If the deployment that it is started with has another shard count for its group, that count is
    about to change. Then the actor is on standby: it imports its definition, connects to the store,
    and acquires nothing until the deployment wants it.

    The definition, which only actors import, says what the role asks of the cluster. An actor that
    was started with something else ends at once, and reports that, so that it is started again.
    """

    def __init__(
        self,
        role: Role,
        code: str,
        deployment: Deployment,
        deployed: Deployed,
        asks: RayOptions = NOTHING,
    ) -> None:
        self._role = role
        self._asks = asks  # what its node has for it
        self._wanted = Wanted(role.name, role, code)
        self._deployment = deployment
        self._deployed = deployed
        self._observation = Observation()  # of this process: it runs one role
        self._in_flight = InFlight()
        log_path = write_log(deployed.logs, role.name)
        self._work = ActorWork(self._run, deployed.limits, code, self._charge, log_path)

    async def report(self, seen: Phase | None, wait: float) -> ActorReport:
        return await self._work.report(seen, wait)

    async def in_flight(self) -> int | None:
        """How many steps it runs now; None: its role has no step, or does not run."""
        return self._in_flight.of(self._role.name)

    async def breaker(self) -> str:
        """Say why the circuit breaker of its step holds runs back. Empty: it does not."""
        return self._in_flight.breaker(self._role.name)

    async def removed(self) -> dict[str, int]:
        """How many runs, histories or keys retention has removed, by the field of Retention."""
        return self._in_flight.removed(self._role.name)

    async def drain(self, deadline: float) -> None:
        await self._work.drain(deadline)

    async def _run(self, work: ActorWork) -> None:
        workflows, clock = load_definitions(self._role, self._deployment), SystemClock()
        if (asks := ray_options_of(self._role, workflows)) != self._asks:
            raise AsksForMore(asks)
        transport = transport_to(self._deployed)
        store = await persist(lambda: remote_store(transport), clock, self._role.name)
        if self._role not in roles_of(self._deployment.workflows):
            await self._stand_by(work, store, clock)
        fence = await persist(lambda: store.acquire(self._role), clock, self._role.name)
        keep_loaded()
        await work.tell_running(fence.epoch)
        replacing = self._replacing(work, workflows, clock)
        try:
            await run_role(
                self._role,
                fence,
                workflows,
                store,
                clock,
                work.stop,
                observation=self._observation,
                in_flight=self._in_flight,
                events=self._deployed.urls.events,
                records=self._deployed.urls.records,
            )
        except (Exception, asyncio.CancelledError):
            await self._release(fence, store, clock)
            raise
        finally:
            if replacing is not None:
                replacing.cancel()
        await self._release(fence, store, clock)

    def _replacing(
        self, work: ActorWork, workflows: Sequence[AnyWorkflow], clock: Clock
    ) -> asyncio.Task[None] | None:
        """Watch for abandoned functions, if a function of the role has a time limit."""
        if not has_time_limit(self._role, workflows):
            return None
        return asyncio.create_task(self._replace_when_due(work, clock))

    async def _replace_when_due(self, work: ActorWork, clock: Clock) -> None:
        """End the work in order, if abandoned functions still run. The supervisor starts another
        actor.
        """
        abandoned = await until_due(self._role.name, self._in_flight, clock)
        await work.finish(
            f"it is replaced, because {abandoned} of its functions run on after their time limit"
        )

    async def _stand_by(self, work: ActorWork, store: Store, clock: Clock) -> None:
        """Wait until the deployment wants this actor. Raises RoleRetired: not in STANDBY s."""
        await work.tell_standby()
        deployment, seen_at = self._deployment, clock.monotonic()
        end = seen_at + STANDBY
        while self._wanted not in wanted_by(deployment, clock.monotonic() - seen_at):
            if clock.monotonic() > end:
                raise RoleRetired(self._role.name, _shard_count(deployment, self._role.group))
            # A group that drains is wanted again after DRAINING seconds without a newer deployment.
            read = partial(store.deployment, newer_than=deployment.version, wait=DRAINING)
            newer = await persist(read, clock, self._role.name)
            if newer.version > deployment.version:
                deployment, seen_at = newer, clock.monotonic()

    async def _release(self, fence: Fence, store: Store, clock: Clock) -> None:
        """Release the role, so that nothing is in doubt: the process has finished its work."""
        try:
            async with asyncio.timeout(RELEASING):
                await persist(lambda: store.release(fence), clock, self._role.name)
        except (WorkflowError, TimeoutError) as error:
            why = str(error) or f"the store did not answer for {RELEASING:g} s"
            log.warning(
                "role %s was not released: %s",
                self._role.name,
                why,
                extra={"role": self._role.name},
            )

    def _charge(self, occupant: Occupant, seconds: float) -> None:
        """See Charge. The process's loop is blocked, so this uses its own loop and connection."""
        asyncio.run(self._charge_and_release(occupant.failed_write(reason(seconds))))

    async def _charge_and_release(self, group: WriteGroup) -> None:
        """Count the attempt that blocks the loop. Release the role, so no other is in doubt."""
        transport = transport_to(self._deployed)
        try:
            async with asyncio.timeout(CHARGING):
                store = await remote_store(transport)
                await store.store([group])
                if group.fence is not None:
                    await store.release(group.fence)
        finally:
            transport.close()


def _shard_count(deployment: Deployment, group: str) -> int | None:
    """Return how many shards the group has. None: it is not deployed."""
    return {role.group: role.shards for role in roles_of(deployment.workflows)}.get(group)
