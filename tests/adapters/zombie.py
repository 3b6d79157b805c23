"""A process that holds a role, and writes with its fence until that is refused: `python -m tests.adapters.zombie URL WRITES`.

It says that it holds the role, and in the end what it was told. After that many writes it stops itself, as SIGSTOP does; 0: never.
"""

import asyncio
import os
import signal
import sys
from functools import partial
from itertools import count

import pytest

from workflow_ray.errors import RoleLost
from workflow_ray.ports import Records, SystemClock, persist, records_adapter
from workflow_ray.records import PUBLISHER, Fence, Fenced, Position, Role
from workflow_ray.testing.conformance.runs import PAID_CONSUMERS, event, group, new_run

ROLE = Role(PUBLISHER)


async def live(url: str, writes: int) -> None:
    clock = SystemClock()
    async with records_adapter(url).open_records(url, clock=clock, exclusive=False) as store:
        fence = await store.acquire(ROLE)
        print("holds the role", flush=True)
        for number in count(1):
            transition = group(new_run(events=[event()]), fence=fence, positions=[Position(PAID_CONSUMERS, 0, number)])
            (answer,) = await persist(partial(store.store, [transition]), clock, "zombie")
            if isinstance(answer, Fenced):
                break
            if number == writes:
                os.kill(os.getpid(), signal.SIGSTOP)
        await refused(store, fence)
        print("lost the role", flush=True)


async def refused(store: Records, fence: Fence) -> None:
    with pytest.raises(RoleLost):
        await store.published(fence, [1])
    with pytest.raises(RoleLost):
        await store.pending(fence, limit=1, wait=0)


if __name__ == "__main__":
    asyncio.run(live(sys.argv[1], int(sys.argv[2])))
