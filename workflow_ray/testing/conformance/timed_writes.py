"""Cases of the timeouts of writes: the store keeps them, or puts them into the outbox."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from msgspec.structs import replace

from workflow_ray.ports import Records
from workflow_ray.records import (
    Committed,
    Fenced,
    NewTimeout,
    Removal,
    RunState,
    Timeout,
    TimeoutKey,
    Write,
    WriteGroup,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Another,
    Conformance,
    MovingStore,
    begin,
    result_across_processes,
    result_of,
)
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    CREATED,
    CREATED_TOPIC,
    PAID,
    acquire,
    event,
    events_of,
    group,
    new_run,
    step,
    store_all,
)

FAR = timezone(timedelta(hours=5, minutes=45))


class ApartTimeoutCases(Conformance):
    """For a RecordStore whose timeouts are in another store."""

    async def test_timeouts_apart_are_pending_until_they_are_published(
        self, store: Records, clock: FakeClock
    ) -> None:
        publisher, committed = await acquire(store), clock.now()
        asked = [
            late(after=90.5),
            late(name="day", at=(committed + timedelta(days=1)).astimezone(FAR)),
        ]
        run = timed(new_run(events=[event()]), *asked)
        await apart(store, run)
        await apart(store, run)  # a repeat adds nothing
        expected = [due(run, committed, 90.5), due(run, committed, 86_400, name="day")]
        entries = await store.pending(publisher, limit=10, wait=0, timeouts_only=True)
        assert [entry.timeout for entry in entries] == expected
        assert len(await store.pending(publisher, limit=10, wait=0)) == 3
        await store.published(publisher, [entry.id for entry in entries])
        (entry,) = await store.pending(publisher, limit=10, wait=0)
        assert events_of([entry])

    async def test_a_write_that_is_left_out_puts_no_timeouts_into_the_outbox(
        self, store: Records
    ) -> None:
        publisher, old = await acquire(store), await acquire(store, CONSUMERS)
        run = new_run()
        await store_all(store, run, step(run))
        new = await acquire(store, CONSUMERS)
        conflicting, fenced = timed(step(run), late()), timed(new_run(), late())
        (answer,) = await store.store(
            [WriteGroup(writes=(fenced,), fence=old, timeouts_apart=True)]
        )
        assert answer == Fenced(old.role, new.epoch)
        await apart(store, conflicting)
        assert await store.pending(publisher, limit=10, wait=0) == []

    async def test_no_timeout_is_left_out_for_a_partition_that_fails(self, store: Records) -> None:
        publisher, run = await acquire(store), timed(new_run(events=[event()]), late())
        await apart(store, run)
        (entry,) = await store.pending(publisher, limit=10, wait=0, without=[(CREATED_TOPIC, 0)])
        assert entry.timeout is not None
        assert entry.timeout.key.run_id == run.run_id

    async def test_pending_for_timeouts_only_is_woken_by_timeouts_and_returns_no_event(
        self, store: Records, clock: FakeClock
    ) -> None:
        publisher, run = await acquire(store), timed(new_run(events=[event()]), late())
        pending = await begin(
            clock, store.pending(publisher, limit=10, wait=LONG, timeouts_only=True)
        )
        await store_all(store, new_run(events=[event()]))
        await apart(store, run)
        assert [entry.timeout for entry in await result_of(pending)] == [due(run, clock.now(), 60)]

    async def test_pending_for_timeouts_only_notices_the_commits_of_another_process(
        self, store: Records, another: Another, clock: FakeClock
    ) -> None:
        publisher, run = await acquire(store), timed(new_run(), late())
        pending = await begin(
            clock, store.pending(publisher, limit=10, wait=LONG, timeouts_only=True)
        )
        async with another() as other:
            await apart(other, run)
            assert [
                entry.timeout.key
                for entry in await result_across_processes(clock, pending)
                if entry.timeout
            ] == [key(run)]


class TimedWriteCases(Conformance):
    """For a store that holds records and timeouts."""

    async def test_timeouts_of_writes_are_created_with_them(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        committed, run = (
            clock.now(),
            timed(new_run(), late(), late(name="day", at=clock.now() + timedelta(days=1))),
        )
        await store_all(store, run)
        await store_all(store, run)  # a repeat adds nothing
        assert await found(store) == []
        await clock.advance(timedelta(seconds=60))
        assert await found(store) == [due(run, committed, 60)]
        await clock.advance(timedelta(days=1))
        assert await found(store) == [
            due(run, committed, 60),
            due(run, committed, 86_400, name="day"),
        ]

    async def test_a_write_that_is_left_out_creates_no_timeouts(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        old, run = await acquire(store, CONSUMERS), new_run()
        await store_all(store, run, step(run))
        new = await acquire(store, CONSUMERS)
        conflicting, fenced = timed(step(run, status=CREATED), late()), timed(new_run(), late())
        answers = await store.store([group(fenced, fence=old), group(conflicting)])
        assert isinstance(answers[1], Committed)
        assert answers[0] == Fenced(old.role, new.epoch)
        await clock.advance(timedelta(seconds=60))
        assert await found(store) == []

    async def test_the_first_timeout_of_a_name_counts_in_each_visit(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        run = timed(new_run(), late())
        again = replace(timed(step(run, status=CREATED), late(after=5)), visit=run.visit)
        enters = timed(step(again, status=CREATED), late(after=7))
        await store_all(store, run, again, enters)
        await clock.advance(timedelta(seconds=59))
        assert [timeout.key for timeout in await found(store)] == [key(enters)]
        await clock.advance(timedelta(seconds=1))
        assert {timeout.key for timeout in await found(store)} == {key(enters), key(run)}

    async def test_a_timeout_belongs_to_the_status_and_partition_that_its_write_names(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        run = new_run(partition=3)
        paid = timed(step(run, status=PAID), late(partition=3))
        await store_all(store, run, paid)
        await clock.advance(timedelta(seconds=60))
        assert await found(store, partitions=range(4)) == []
        (timeout,) = await store.due("orders", PAID, [3], limit=10, wait=0)
        assert (timeout.key, timeout.status, timeout.partition) == (key(paid), PAID, 3)

    async def test_the_timeout_of_a_write_wakes_callers_that_wait_when_it_is_due(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        waiting = await begin(clock, store.due("orders", CREATED, [0], limit=10, wait=LONG))
        run = timed(new_run(), late(at=clock.now()))
        await store_all(store, run)
        assert [timeout.key for timeout in await result_of(waiting)] == [key(run)]

    async def test_the_timeouts_of_a_removed_run_go_with_it(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        run, other = (timed(new_run(), late(), late(name="second")) for _ in range(2))
        ended = step(run, run_state=RunState.COMPLETED)
        await store_all(store, run, other, ended)
        await store.complete([key(run, "second")])
        await clock.advance(timedelta(seconds=60))
        removal = Removal(workflow="orders", runs=(run.run_id,))
        await store.store([WriteGroup(removals=(removal,))])
        assert {timeout.key for timeout in await found(store)} == {
            key(other),
            key(other, "second"),
        }

    async def test_an_entry_that_carries_a_timeout_is_never_moved(self, store: MovingStore) -> None:
        fence, run = await acquire(store), timed(new_run(events=[event()]), late())
        await apart(store, run)
        assert await store.move(fence, limit=10, wait=0) == 1
        assert len(await store.pending(fence, limit=10, wait=0, timeouts_only=True)) == 1
        assert await found(store) == []


def timed(write: Write, *timeouts: NewTimeout) -> Write:
    return replace(write, timeouts=timeouts)


def late(
    *,
    name: str = "late",
    after: float | None = None,
    at: datetime | None = None,
    partition: int = 0,
) -> NewTimeout:
    """Ask for a timeout; by default in a minute."""
    after = 60 if after is None and at is None else after
    return NewTimeout(name=name, workflow="orders", partition=partition, after=after, at=at)


def key(write: Write, name: str = "late") -> TimeoutKey:
    return TimeoutKey(write.run_id, write.visit, name)


def due(write: Write, committed: datetime, seconds: float, *, name: str = "late") -> Timeout:
    """Make the timeout of a write that was committed at that time."""
    due_at = committed + timedelta(seconds=seconds)
    return Timeout(
        key=key(write, name), workflow="orders", status=write.status, partition=0, due_at=due_at
    )


async def apart(store: Records, *writes: Write) -> None:
    await store.store([WriteGroup(writes=writes, timeouts_apart=True)])


async def found(store: MovingStore, partitions: Sequence[int] = (0,)) -> list[Timeout]:
    return await store.due("orders", CREATED, partitions, limit=10, wait=0)
