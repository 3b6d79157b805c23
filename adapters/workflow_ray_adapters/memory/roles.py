"""Roles: their epochs and holders."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from workflow_ray.errors import RoleLost, RoleRetired
from workflow_ray.records import Fence, Role, RoleHolder, RoleName, Shared
from workflow_ray_adapters.memory.leases import Leases


class Roles:
    """The epoch of each role that was ever acquired, and the leases of workers."""

    def __init__(self) -> None:
        self._epochs: dict[RoleName, int] = {}
        self._acquired: dict[str, set[RoleName]] = {}  # by group; never removed
        self._leases = Leases()

    def epoch(self, role: RoleName) -> int:
        """Return the newest epoch of the role; 0: it was never acquired."""
        return self._epochs.get(role, 0)

    def check(self, fence: Fence) -> None:
        """Raise RoleLost if the fence is old."""
        if self.epoch(fence.role) != fence.epoch:
            raise RoleLost(fence.role, fence.epoch, self.epoch(fence.role))

    def acquire(self, role: Role, shards: Mapping[str, int]) -> Fence:
        """Acquire the role.

        Args:
            role: The role.
            shards: The shard count of each group that is deployed.

        Raises:
            RoleRetired: The group is not deployed, or has another shard count.
        """
        if not _is_current(role, shards):
            raise RoleRetired(role.name, shards.get(role.group))
        self._acquired.setdefault(role.group, set()).add(role.name)
        return self._raise(role.name)

    def fence_off(self, groups: Collection[str]) -> set[RoleName]:
        """Raise the epochs of all roles that were ever acquired in the groups; return the roles."""
        roles = {role for group in groups for role in self._acquired.get(group, ())}
        for role in roles:
            self._raise(role)
        return roles

    def release(self, fence: Fence) -> None:
        if self.epoch(fence.role) == fence.epoch:
            self._leases.end(fence.role)

    def share(
        self,
        worker: str,
        roles: Sequence[Role],
        held: Sequence[Fence],
        shards: Mapping[str, int],
        *,
        now: datetime,
        until: datetime,
    ) -> Shared:
        """Take a heartbeat of the worker at `now`; its leases last until `until`."""
        lost = [fence.role for fence in held if self.epoch(fence.role) != fence.epoch]
        kept = [fence.role for fence in held if fence.role not in lost]
        self._leases.expire(now)
        self._leases.join(worker, roles, until)
        for name in kept:
            self._leases.hold(name, worker, until)
        targets = self._leases.targets(lambda role: _is_current(role, shards))
        mine = {name for name, target in targets.items() if target == worker}
        free = [
            role
            for role in roles
            if role.name in mine.difference(kept)
            and self._leases.holder(role.name) in (None, worker)
        ]
        return Shared(
            acquired=tuple(self._lease(role, worker, shards, until) for role in free),
            lost=tuple(lost),
            surplus=tuple(name for name in kept if name not in mine),
        )

    def holders(self, now: datetime) -> tuple[RoleHolder, ...]:
        """Return the holder of each role that has a lease."""
        return tuple(
            RoleHolder(role=role, epoch=self.epoch(role), worker=lease.worker, until=lease.until)
            for role, lease in sorted(self._leases.current(now).items())
        )

    def leave(self, worker: str) -> None:
        self._leases.leave(worker)

    def _lease(self, role: Role, worker: str, shards: Mapping[str, int], until: datetime) -> Fence:
        """Acquire the role for the worker.

        Where the worker holds it already, the answer to an earlier heartbeat was lost: it gets the
        same fence again.
        """
        again = self._leases.holder(role.name) == worker
        fence = Fence(role.name, self.epoch(role.name)) if again else self.acquire(role, shards)
        self._leases.hold(role.name, worker, until)
        return fence

    def _raise(self, role: RoleName) -> Fence:
        epoch = self._epochs[role] = self.epoch(role) + 1
        self._leases.end(role)
        return Fence(role, epoch)


def _is_current(role: Role, shards: Mapping[str, int]) -> bool:
    return role.shards == shards.get(role.group) and 1 <= role.shard <= role.shards
