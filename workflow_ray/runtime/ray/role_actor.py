"""The actor of one role, whatever its process type."""

from workflow_ray.ports import SystemClock
from workflow_ray.records import Deployment, Role, Taken
from workflow_ray.runtime.hosting import host
from workflow_ray.runtime.lane import RemoteStore
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
        store = _Announcing(self._deployed, life)
        await host(self._role, self._deployment, store, SystemClock(), life.stop)


class _Announcing(RemoteStore):
    """The store as the role sees it. That it is running is known from its taking the role."""

    def __init__(self, deployed: Deployed, life: Life) -> None:
        super().__init__(transport_to(deployed), deployed.store_id)
        self._life = life

    async def take(self, role: Role) -> Taken:
        taken = await super().take(role)
        await self._life.running(taken.fence.epoch)
        return taken
