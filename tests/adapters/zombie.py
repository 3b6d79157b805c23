"""A process that holds a role, and writes under its fence until a write is refused.

`python -m tests.adapters.zombie URL GROUP SHARD SHARDS WRITES` prints when it holds the role, and
when it has lost it. After WRITES writes it stops itself with SIGSTOP; 0: never.
"""

import asyncio
import os
import signal
import sys
from functools import partial
from itertools import count

import pytest

from workflow_ray.errors import RoleLost
from workflow_ray.ports import OutboxMover, Records, SystemClock, persist, records_adapter
from workflow_ray.records import Fence, Fenced, Position, Role, WriteGroup
from workflow_ray.testing.conformance.runs import PAID_CONSUMERS, event, group, new_run


async def live(url: str, role: Role, writes: int) -> None:
    clock = SystemClock()
    async with records_adapter(url).open_records(url, clock=clock, exclusive=False) as store:
        fence = await store.acquire(role)
        print("holds the role", flush=True)
        for number in count(1):
            (answer,) = await persist(
                partial(store.store, [transition(fence, number)]), clock, "zombie"
            )
            if isinstance(answer, Fenced):
                break
            if number == writes:
                os.kill(os.getpid(), signal.SIGSTOP)
        await refused(store, fence)
        await store.release(fence)
        print("lost the role", flush=True)


def transition(fence: Fence, number: int) -> WriteGroup:
    """Make what a consumer writes: a run, its event, and a position."""
    position = Position(PAID_CONSUMERS, 0, number, begun=number + 1, in_use=fence)
    return group(new_run(events=[event()]), fence=fence, positions=[position])


async def refused(store: Records, fence: Fence) -> None:
    assert isinstance(store, OutboxMover)
    with pytest.raises(RoleLost):
        await store.published(fence, [1])
    with pytest.raises(RoleLost):
        await store.pending(fence, limit=1, wait=0)
    with pytest.raises(RoleLost):
        await store.move(fence, limit=1, wait=0)


if __name__ == "__main__":
    _, url, name, shard, shards, writes = sys.argv
    asyncio.run(live(url, Role(name, int(shard), int(shards)), int(writes)))
