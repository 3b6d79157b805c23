"""Who holds which role."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from workflow_ray.errors import RoleLost, RoleRetired
from workflow_ray.records import Fence, Role, RoleName, Shared, Taken
from workflow_ray_adapters.memory.leases import Leases


class Roles:
    """The epoch of each role that was ever taken, whether its holder left it with nothing in doubt, and the members' leases."""

    def __init__(self) -> None:
        self._epochs: dict[RoleName, int] = {}
        self._in_doubt: set[RoleName] = set()
        self._last: dict[RoleName, tuple[Role, Taken]] = {}
        self._leases = Leases()

    def epoch(self, role: RoleName) -> int:
        """The newest; 0: nobody ever took the role."""
        return self._epochs.get(role, 0)

    def check(self, fence: Fence) -> None:
        """Raises RoleLost."""
        if self.epoch(fence.role) != fence.epoch:
            raise RoleLost(fence.role, fence.epoch, self.epoch(fence.role))

    def take(self, role: Role, shards: Mapping[str, int]) -> Taken:
        """shards: of each group that is deployed, how many it has by now."""
        if not _current(role, shards):
            raise RoleRetired(role.name, shards.get(role.group))
        epoch = self._epochs[role.name] = self.epoch(role.name) + 1
        clean = role.name not in self._in_doubt
        self._in_doubt.add(role.name)
        self._leases.end(role.name)
        taken = Taken(Fence(role.name, epoch), clean)
        self._last[role.name] = role, taken
        return taken

    def release(self, fence: Fence) -> None:
        if self.epoch(fence.role) == fence.epoch:
            self._in_doubt.discard(fence.role)
            self._leases.end(fence.role)

    def share(
        self, member: str, roles: Sequence[Role], held: Sequence[Fence], shards: Mapping[str, int], *, now: datetime, until: datetime
    ) -> Shared:
        """A heartbeat of the member, at `now`; its leases last `until` then."""
        kept = [fence.role for fence in held if self._holds(fence, shards)]
        self._leases.expire(now)
        self._leases.join(member, roles, until)
        for name in kept:
            self._leases.hold(name, member, until)
        mine = {name for name, player in self._leases.targets(lambda role: _current(role, shards)).items() if player == member}
        free = [role for role in roles if role.name in mine.difference(kept) and self._leases.holder(role.name) in (None, member)]
        return Shared(
            taken=tuple(self._lease(role, member, shards, until) for role in free),
            lost=tuple(fence.role for fence in held if fence.role not in kept),
            surplus=tuple(name for name in kept if name not in mine),
        )

    def leave(self, member: str) -> None:
        self._leases.leave(member)

    def _holds(self, fence: Fence, shards: Mapping[str, int]) -> bool:
        return 0 < self.epoch(fence.role) == fence.epoch and _current(self._last[fence.role][0], shards)

    def _lease(self, role: Role, member: str, shards: Mapping[str, int], until: datetime) -> Taken:
        """Take the role. Where the member holds it already, the answer to an earlier heartbeat was lost: it gets the same again."""
        again = self._leases.holder(role.name) == member
        taken = self._last[role.name][1] if again else self.take(role, shards)
        self._leases.hold(role.name, member, until)
        return taken


def _current(role: Role, shards: Mapping[str, int]) -> bool:
    return role.shards == shards.get(role.group) and 1 <= role.shard <= role.shards
