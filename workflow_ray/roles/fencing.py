"""Writes under the fence of a role."""

from workflow_ray.errors import RoleLost
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import Committed, Fenced, WriteGroup


async def store_fenced(store: RecordStore, group: WriteGroup, clock: Clock) -> Committed:
    """Store a group that has a fence, again and again while the store has a transient error.

    Raises:
        RoleLost: The role has a newer holder, and nothing was written.
    """
    fence = group.fence
    assert fence is not None, "the group of a role has its fence"
    (answer,) = await persist(lambda: store.store([group]), clock, fence.role)
    if isinstance(answer, Fenced):
        raise RoleLost(fence.role, fence.epoch, answer.current)
    return answer
