"""The scheduler of roles: it decides which process holds which role."""

from collections.abc import Sequence
from typing import Protocol

from workflow_ray.records import Fence, Role, Shared


class RoleScheduler(Protocol):
    """Decides who holds a role. To acquire a role raises its epoch, which fences off its earlier
    holder.

    There are two ways to use it. If something else decides which process holds a role, as Ray does,
    that process acquires it. If workers share roles among themselves, each of them calls `share`
    every few seconds.
    """

    async def acquire(self, role: Role) -> Fence:
        """Acquire a role. Epochs only go up, and are kept for good.

        Atomic together with the check of the group's shard count.
        Raises RoleRetired: the group is not deployed, or has another number of shards.
        """
        ...

    async def release(self, fence: Fence) -> None:
        """Release a role. Idempotent.

        Its lease ends, if the fence is still the newest. `in_use` of the positions that name this
        fence is cleared, also if the role has a newer holder by now: what this holder ran is not in
        doubt.
        """
        ...

    async def share(
        self, worker: str, roles: Sequence[Role], held: Sequence[Fence], *, lease: float
    ) -> Shared:
        """Send a worker's heartbeat: renew its leases, and acquire roles of its share.

        `assigned` decides each live worker's share. The worker acquires, as `acquire` does, the
        roles of its share that have no lease or an expired one. A role that it holds and another
        worker should have is surplus. A role with a newer epoch is lost. Atomic: two workers never
        acquire one role. A repeat acquires nothing again.

        Args:
            worker: The worker's name.
            roles: The roles that the worker can run now. Roles of a group that is draining are not
                among them.
            held: The roles that it runs, also the ones that it is about to release.
            lease: Seconds, by the store's clock, for which the worker is live and holds its roles.

        Raises:
            StoreInUse: A process has the store exclusively, as on a Ray cluster. Nothing was
                acquired.
        """
        ...

    async def leave(self, worker: str) -> None:
        """End the worker's leases, so that others acquire its roles at their next heartbeat.
        Idempotent.
        """
        ...
