"""Cases of entries that a group has set aside: retries that are due later, and dead letters."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from workflow_ray.errors import WriteRejected
from workflow_ray.ports import Records, RecordStore
from workflow_ray.records import (
    BATCH_DATA,
    MAX_DATA,
    Conflict,
    Fenced,
    NewSetAside,
    Position,
    SetAside,
    SetAsideKey,
    SetAsideQuery,
    Stored,
    Version,
    WriteGroup,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Conformance,
    begin,
    result_at_timeout,
    result_of,
    result_within,
    settle,
)
from workflow_ray.testing.conformance.posts import CALLERS, SOON, after, commit
from workflow_ray.testing.conformance.runs import CONSUMERS, QUARTER, acquire, new_run, step

CARTS = "orders-carts-connector"
ALL = SetAsideQuery(group=CARTS)
DUE = replace(ALL, due=True)


class SetAsideCases(Conformance):
    # --- what is stored -------------------------------------------------------------------------

    async def test_an_entry_is_stored_as_it_was_set_aside(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        key = SetAsideKey(CARTS, 3, 2**40, "kafka://shop/carts", 7)
        new = NewSetAside(
            key=key,
            event_id="carts:3:7",
            event=b'{"data": "\xf0\x9f\xa6\x84"}',
            attempt=2,
            error="ValueError: no cart",
            retry_in=SOON,
        )
        await set_aside(store, new)
        assert await store.set_aside(ALL) == [
            SetAside(
                key=key,
                event_id="carts:3:7",
                event=new.event,
                attempt=2,
                error="ValueError: no cart",
                due_at=after(clock.now(), SOON),
                set_aside_at=clock.now(),
                changed_at=clock.now(),
            )
        ]

    async def test_an_entry_that_exists_is_replaced_and_keeps_the_time_when_it_was_made(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        begin = clock.now()
        await set_aside(store, entry(7, retry_in=SOON))
        await clock.advance(timedelta(seconds=5))
        dead = replace(entry(7), attempt=5, error="TypeError", event=b"2", event_id="other")
        await set_aside(store, dead)
        (found,) = await store.set_aside(ALL)
        assert (found.attempt, found.error, found.event) == (5, "TypeError", b"2")
        assert (found.event_id, found.due_at) == ("other", None)
        assert (found.set_aside_at, found.changed_at) == (begin, clock.now())

    async def test_entries_are_removed_when_they_are_taken_back(self, store: RecordStore) -> None:
        await set_aside(store, entry(1), entry(2), entry(3))
        for _ in range(2):
            gone = (entry(1).key, entry(3).key, entry(9).key)
            await commit(store, WriteGroup(taken_back=gone))
            assert await offsets(store, ALL) == [2]

    async def test_an_entry_that_is_set_aside_after_it_was_taken_back_is_a_new_one(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        await set_aside(store, entry(1))
        await commit(store, WriteGroup(taken_back=(entry(1).key,)))
        await clock.advance(timedelta(seconds=5))
        await set_aside(store, entry(1))
        (found,) = await store.set_aside(ALL)
        assert found.set_aside_at == clock.now()

    @pytest.mark.parametrize(
        "other",
        [
            SetAsideKey("other", 0, 7, "log", 1),
            SetAsideKey(CARTS, 1, 7, "log", 1),
            SetAsideKey(CARTS, 0, 8, "log", 1),
            SetAsideKey(CARTS, 0, 7, "Log", 1),
            SetAsideKey(CARTS, 0, 7, "log", 2),
        ],
        ids=["group", "partition", "offset", "log", "incarnation"],
    )
    async def test_each_part_of_its_key_tells_an_entry_from_others(
        self, store: RecordStore, other: SetAsideKey
    ) -> None:
        key = SetAsideKey(CARTS, 0, 7, "log", 1)
        await set_aside(store, replace(entry(7), key=key), replace(entry(7), key=other))
        await commit(store, WriteGroup(taken_back=(other,)))
        assert [found.key for found in await store.set_aside(ALL)] == [key]

    async def test_entries_are_stored_with_the_positions_and_writes_of_their_group(
        self, store: Records
    ) -> None:
        fence, run = await acquire(store, CONSUMERS), new_run()
        position = Position(CARTS, 0, 8)
        answer = await commit(
            store,
            WriteGroup(writes=(run,), positions=(position,), set_aside=(entry(7),), fence=fence),
        )
        assert answer.results == (Stored(run.run_id, Version(1)),)
        assert await store.positions(CARTS) == [position]
        assert await offsets(store, ALL) == [7]

    async def test_entries_are_stored_although_a_write_of_their_group_is_too_late(
        self, store: Records
    ) -> None:
        """A repeat of the group answers alike, so a caller can learn later what was too late."""
        fence, fresh, late = await acquire(store, CONSUMERS), new_run(), new_run()
        await set_aside(store, entry(1))
        await commit(store, WriteGroup(writes=(fresh, late)))
        await commit(store, WriteGroup(writes=(step(late),)))
        group = WriteGroup(
            writes=(step(fresh), step(late)),
            set_aside=(entry(7),),
            taken_back=(entry(1).key,),
            fence=fence,
        )
        for _ in range(2):
            assert (await commit(store, group)).results == (
                Stored(fresh.run_id, Version(2)),
                Conflict(late.run_id, Version(2)),
            )
            assert await offsets(store, ALL) == [7]

    async def test_a_group_with_an_old_fence_sets_nothing_aside_and_takes_nothing_back(
        self, store: Records
    ) -> None:
        await set_aside(store, entry(1))
        old = await acquire(store, CONSUMERS)
        new = await acquire(store, CONSUMERS)
        refused = WriteGroup(set_aside=(entry(2),), taken_back=(entry(1).key,), fence=old)
        assert await store.store([refused]) == [Fenced(old.role, new.epoch)]
        assert await offsets(store, ALL) == [1]

    async def test_an_entry_that_many_set_aside_at_the_same_time_is_stored_once(
        self, store: RecordStore
    ) -> None:
        new = [replace(entry(7), attempt=at) for at in range(CALLERS)]
        await asyncio.gather(*(set_aside(store, each) for each in new))
        (found,) = await store.set_aside(ALL)
        assert found.attempt in range(CALLERS)

    async def test_an_event_that_not_every_store_can_hold_is_refused(
        self, store: RecordStore
    ) -> None:
        with pytest.raises(WriteRejected):
            await set_aside(store, replace(entry(7), event=b"x" * (MAX_DATA + 1)))

    # --- pages ----------------------------------------------------------------------------------

    async def test_entries_are_read_by_partition_log_incarnation_and_offset(
        self, store: RecordStore
    ) -> None:
        keys = [
            SetAsideKey(CARTS, partition, offset, log, incarnation)
            for partition in (0, 2)
            for log in ("", "a")
            for incarnation in (0, 1)
            for offset in (7, 10)
        ]
        await set_aside(store, *(replace(entry(0), key=key) for key in reversed(keys)))
        assert [found.key for found in await store.set_aside(ALL)] == keys
        seen: list[SetAsideKey] = []
        while page := await store.set_aside(
            replace(ALL, limit=3, after=seen[-1] if seen else None)
        ):
            seen += [found.key for found in page]
            assert len(page) <= 3
        assert seen == keys

    async def test_every_filter_that_is_given_must_hold(self, store: RecordStore) -> None:
        await set_aside(
            store,
            entry(1, partition=0),
            entry(2, partition=1, retry_in=SOON),
            entry(3, partition=1),
            replace(entry(4, partition=2), event_id="special"),
            replace(entry(5), key=SetAsideKey("other", 0, 5)),
        )
        assert await offsets(store, replace(ALL, dead=True)) == [1, 3, 4]
        assert await offsets(store, DUE) == [2]
        assert await offsets(store, replace(ALL, partitions=(1, 2))) == [2, 3, 4]
        assert await offsets(store, replace(ALL, partitions=())) == []
        assert await offsets(store, replace(ALL, partitions=(1,), dead=True)) == [3]
        assert await offsets(store, replace(ALL, event_id="special")) == [4]
        assert await offsets(store, replace(ALL, event_id="Special")) == []
        assert await offsets(store, replace(ALL, group="other")) == [5]

    async def test_a_page_ends_with_the_entry_whose_event_exceeds_the_bound(
        self, store: RecordStore
    ) -> None:
        for at in range(6):
            await set_aside(store, replace(entry(at), event=QUARTER))
        found = await store.set_aside(ALL)
        assert [item.key.offset for item in found] == list(range(5))
        assert sum(len(item.event) for item in found) > BATCH_DATA

    async def test_entries_with_a_due_time_are_read_by_it_also_before_they_are_due(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        delays = {1: 90.0, 2: 30.0, 3: None, 4: 60.0}
        await set_aside(store, *(entry(at, retry_in=delay) for at, delay in delays.items()))
        await clock.advance(timedelta(seconds=31))
        assert await offsets(store, DUE) == [2, 4, 1]
        assert await offsets(store, replace(DUE, limit=2)) == [2, 4]

    # --- waits ----------------------------------------------------------------------------------

    async def test_a_wait_ends_when_the_first_entry_is_due(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        await set_aside(store, entry(1, retry_in=SOON), entry(2, retry_in=3 * SOON))
        waiting = await begin(clock, store.set_aside(DUE, wait=LONG))
        await clock.advance(timedelta(seconds=SOON - 1))
        await settle(clock)
        assert not waiting.done()
        found = await result_within(clock, waiting, seconds=1)
        assert [item.key.offset for item in found] == [1, 2]

    async def test_an_entry_that_is_due_ends_a_wait_at_once(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        await set_aside(store, entry(1, retry_in=0.0))
        assert [item.key.offset for item in await store.set_aside(DUE, wait=LONG)] == [1]

    async def test_a_wait_is_woken_by_an_entry_that_is_due_earlier(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        await set_aside(store, entry(1, retry_in=LONG), entry(2))
        waiting = await begin(clock, store.set_aside(DUE, wait=LONG))
        await set_aside(store, entry(2, retry_in=0.0))
        assert [item.key.offset for item in await result_of(waiting)] == [2, 1]

    async def test_a_wait_ends_with_what_is_there(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        await set_aside(store, entry(1, retry_in=LONG))
        waiting = await begin(clock, store.set_aside(DUE, wait=5))
        found = await result_at_timeout(clock, waiting, seconds=5)
        assert [item.key.offset for item in found] == [1]

    async def test_nothing_is_waited_for_without_due(self, store: RecordStore) -> None:
        assert await store.set_aside(ALL, wait=LONG) == []


def entry(offset: int, *, partition: int = 0, retry_in: float | None = None) -> NewSetAside:
    """Make an entry. Without a delay it is a dead letter."""
    return NewSetAside(
        key=SetAsideKey(CARTS, partition, offset),
        event_id=f"carts:{partition}:{offset}",
        event=b"{}",
        attempt=1,
        error="ValueError",
        retry_in=retry_in,
    )


async def set_aside(store: RecordStore, *new: NewSetAside) -> None:
    await commit(store, WriteGroup(set_aside=new))


async def offsets(store: RecordStore, query: SetAsideQuery) -> list[int]:
    return [found.key.offset for found in await store.set_aside(query)]
