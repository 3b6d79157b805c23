"""Roles: their epochs and holders. An epoch never goes back, and is never forgotten."""

import msgspec

from workflow_ray.errors import RoleLost, RoleRetired, StoreInUse
from workflow_ray.records import Fence, Role, RoleName, Shared
from workflow_ray_adapters.redis import leases
from workflow_ray_adapters.redis.rows import Answer, encode, microseconds
from workflow_ray_adapters.redis.scripts import ACQUIRE, LEAVE, RELEASE, SHARE, SHARING
from workflow_ray_adapters.redis.server import Server


def lost(fence: Fence, answer: Answer) -> RoleLost | None:
    """Make the error for a script's answer to an old fence."""
    return RoleLost(fence.role, fence.epoch, int(answer[1])) if answer[0] is None else None


async def acquire(server: Server, role: Role) -> Fence:
    answer = await server.call(ACQUIRE, role.name, role.group, role.shard, role.shards)
    if answer[0] is None:
        raise RoleRetired(role.name, int(answer[1]) if answer[1] else None)
    return Fence(role.name, int(answer[0]))


async def release(server: Server, fence: Fence) -> None:
    await server.call(RELEASE, fence.role, fence.epoch)


async def share(server: Server, now: str, heartbeat: leases.Heartbeat) -> Shared:
    """Decide here which roles the worker should have, and let the script acquire them.

    The decision is made on a snapshot, because it takes long where there are thousands of roles.
    The script acquires the roles that are still free.
    """
    held, names = heartbeat.held, [role.name for role in heartbeat.roles]
    snapshot = leases.snapshot(
        await server.call(SHARING, now, *(fence.role for fence in held)), held
    )
    mine = leases.fair_share(snapshot, heartbeat)
    wanted = [
        (role.name, role.group, str(role.shard), str(role.shards))
        for role in heartbeat.roles
        if role.name in mine
    ]
    asked = msgspec.msgpack.encode(([(fence.role, str(fence.epoch)) for fence in held], wanted))
    answer = await server.call(
        SHARE, now, microseconds(heartbeat.lease), heartbeat.worker, encode(names), asked
    )
    if answer is None:
        raise StoreInUse(
            server.where,
            "a process has it exclusively, so roles can't be shared. End that one first.",
        )
    kept, acquired = answer
    still = dict(zip((fence.role for fence in held), kept, strict=True))
    return Shared(
        acquired=tuple(Fence(RoleName(role.decode()), int(epoch)) for role, epoch in acquired),
        lost=tuple(role for role, is_kept in still.items() if not is_kept),
        surplus=tuple(role for role, is_kept in still.items() if is_kept and role not in mine),
    )


async def leave(server: Server, worker: str) -> None:
    await server.call(LEAVE, worker)
