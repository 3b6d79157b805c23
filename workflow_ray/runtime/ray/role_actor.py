"""The actor of one role, whatever its process type."""

from workflow_ray.ports import SystemClock, persist
from workflow_ray.records import Deployment, Role
from workflow_ray.runtime.hosting import definitions, run_role
from workflow_ray.runtime.ipc import remote_store
from workflow_ray.runtime.ray.life import Life
from workflow_ray.runtime.ray.state import Phase, Standing
from workflow_ray.runtime.ray.stores import Deployed, transport_to


class RoleActor:
    """Takes its role and plays it until it is told to stop, loses it, or crashes."""

    def __init__(self, role: Role, code: str, deployment: Deployment, deployed: Deployed) -> None:
        self._role, self._deployment, self._deployed = role, deployment, deployed
        self._life = Life(self._play, code)

    async def standing(self, seen: Phase | None) -> Standing:
        return await self._life.standing(seen)

    async def drain(self, deadline: float) -> None:
        await self._life.drain(deadline)

    async def _play(self, life: Life) -> None:
        workflows, clock = definitions(self._role, self._deployment), SystemClock()
        transport = transport_to(self._deployed)
        store = await persist(lambda: remote_store(transport), clock, self._role.name)
        fence = await persist(lambda: store.acquire(self._role), clock, self._role.name)
        await life.running(fence.epoch)
        await run_role(self._role, fence, workflows, store, clock, life.stop)
        await store.release(fence)
