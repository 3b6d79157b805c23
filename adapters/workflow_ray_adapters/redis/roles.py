"""Who holds a role. An epoch never goes back, and is never forgotten."""

from collections.abc import Sequence
from datetime import datetime

from workflow_ray.errors import RoleLost, RoleRetired, StoreInUse
from workflow_ray.records import Fence, Role, RoleName, Shared, Taken
from workflow_ray_adapters.redis import leases
from workflow_ray_adapters.redis.rows import Answer
from workflow_ray_adapters.redis.scripts import LEAVE, RELEASE, SHARE, SHARING, TAKE
from workflow_ray_adapters.redis.server import Server


def lost(fence: Fence, answer: Answer) -> RoleLost | None:
    """Of a script's answer to one who no longer holds the role."""
    return RoleLost(fence.role, fence.epoch, int(answer[1])) if answer[0] is None else None


async def take(server: Server, role: Role) -> Taken:
    answer = await server.call(TAKE, role.name, role.group, role.shard, role.shards)
    if answer[0] is None:
        raise RoleRetired(role.name, int(answer[1]) if answer[1] else None)
    return _taken(role.name, answer)


async def release(server: Server, fence: Fence) -> None:
    await server.call(RELEASE, fence.role, fence.epoch)


async def share(server: Server, member: str, roles: Sequence[Role], held: Sequence[Fence], *, now: datetime, until: datetime) -> Shared:
    """Decides here and writes there, again and again until nobody else has changed anything meanwhile."""
    while True:
        board = leases.board(await server.call(SHARING))
        plan = leases.plan(board, member, roles, held, now, until)
        answer = await server.call(SHARE, board.count, plan.changes)
        if answer == b"used":
            raise StoreInUse(server.where, "a process has it exclusively, so roles can't be shared. End that one first.")
        if answer is not None:
            fresh = [_taken(role, one) for role, one in zip(plan.fresh, answer, strict=True)]
            return Shared(taken=(*plan.again, *fresh), lost=plan.lost, surplus=plan.surplus)


async def leave(server: Server, member: str) -> None:
    await server.call(LEAVE, member)


def _taken(role: RoleName, answer: Answer) -> Taken:
    epoch, clean = answer
    return Taken(Fence(role, int(epoch)), clean=clean == 1)
