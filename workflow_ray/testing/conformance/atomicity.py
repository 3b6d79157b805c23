"""Cases of RecordStore.store: what commits together, and what a fence or a rejection prevents."""

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from workflow_ray.errors import WriteRejected
from workflow_ray.ports import Records
from workflow_ray.records import (
    MAX_DATA,
    MAX_FOREIGN_ID,
    Committed,
    Fence,
    Fenced,
    Position,
    RoleName,
    Stored,
    Version,
    Write,
)
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    acquire,
    event,
    group,
    new_run,
    step,
    stored,
    stored_run,
    stored_runs,
    versions,
)

FLAWED: dict[str, Callable[[], Write]] = {
    "a long foreign id": lambda: new_run("x" * (MAX_FOREIGN_ID + 1)),
    "NUL in a foreign id": lambda: new_run("order\0"),
    "half a surrogate pair in a foreign id": lambda: new_run("order-\ud83e"),
    "a long key": lambda: new_run(key="x" * (MAX_FOREIGN_ID + 1)),
    "NUL in a key": lambda: new_run(key="\0order"),
    "half a surrogate pair in a key": lambda: new_run(key="order-\udd84"),
    "no data": lambda: replace(new_run(), data=None),
    "parked without an order": lambda: replace(new_run(), parked=True),
    "erases without data": lambda: replace(step(new_run()), erases=True),
    "too much data": lambda: new_run(data=b"x" * (MAX_DATA + 1)),
}


class AtomicityCases(Conformance):
    """All that commits does so at once, or nothing of it does."""

    async def test_writes_that_commit_together_are_seen_together(self, store: Records) -> None:
        record = await stored_run(store)

        async def write() -> None:
            before = record
            for _ in range(30):
                await store.store(
                    [group(step(before), positions=[Position(CONSUMERS, 0, before.version + 1)])]
                )
                before = await stored(store, record.run_id)

        writer = asyncio.create_task(write())
        while not writer.done():
            offset = max(
                (position.offset for position in await store.positions(CONSUMERS)), default=0
            )
            (found,) = await store.lookup([record.run_id])
            assert found is not None
            assert found.version >= offset
            assert len(await store.history(record.run_id)) >= found.version
            await asyncio.sleep(0)
        await writer

    async def test_a_group_with_an_old_fence_writes_nothing(self, store: Records) -> None:
        publisher, old = await acquire(store), await acquire(store, CONSUMERS)
        new = await acquire(store, CONSUMERS)
        one, two = await stored_runs(store, count=2)
        refused = group(
            step(one, events=[event()]), fence=old, positions=[Position(CONSUMERS, 0, 7)]
        )
        answers = await store.store([refused, group(step(two), fence=new)])
        assert answers == [
            Fenced(old.role, new.epoch),
            Committed((Stored(two.run_id, Version(2)),)),
        ]
        assert await stored(store, one.run_id) == one
        assert await versions(store, one.run_id) == [1]
        assert await store.positions(CONSUMERS) == []
        assert await store.pending(publisher, limit=10, wait=0) == []

    @pytest.mark.parametrize("off", [-1, 1, 99])
    async def test_an_epoch_that_was_never_given_out_is_refused(
        self, store: Records, off: int
    ) -> None:
        held, record = await acquire(store, CONSUMERS), await stored_run(store)
        forged = Fence(held.role, held.epoch + off)
        assert await store.store([group(step(record), fence=forged)]) == [
            Fenced(held.role, held.epoch)
        ]

    async def test_the_fence_of_a_role_that_was_never_acquired_is_refused(
        self, store: Records
    ) -> None:
        fence = Fence(RoleName("orders-1-consumer-1-of-1"), 1)
        assert await store.store([group(new_run(), fence=fence)]) == [Fenced(fence.role, 0)]

    @pytest.mark.parametrize("flawed", FLAWED.values(), ids=FLAWED.keys())
    async def test_a_rejected_write_prevents_the_whole_call(
        self, store: Records, flawed: Callable[[], Write]
    ) -> None:
        good = new_run()
        with pytest.raises(WriteRejected):
            await store.store([group(good), group(flawed())])
        assert await store.lookup([good.run_id], fresh=True) == [None]
