"""All that a TimeoutStore must do."""

from datetime import timedelta, timezone

from msgspec.structs import replace

from workflow_ray.ports import TimeoutStore
from workflow_ray.records import Timeout, TimeoutKey, Version, new_run_id
from workflow_ray.testing.clock import START, FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Another,
    Fragile,
    begin,
    result_across_processes,
    result_at_timeout,
    result_of,
    result_within,
    settle,
)
from workflow_ray.testing.conformance.clocks import TimeoutClockCases
from workflow_ray.testing.conformance.faults import cuts
from workflow_ray.testing.conformance.runs import CREATED, PAID, PARTITIONS
from workflow_ray.testing.conformance.timeouts import ALL, at, due


class TimeoutStoreConformance(TimeoutClockCases):
    """For a `store` that is a TimeoutStore. Uses `another` and `fragile`."""

    async def test_a_timeout_is_due_only_at_its_time(
        self, store: TimeoutStore, clock: FakeClock
    ) -> None:
        timeout = at(90.5)
        await store.create([timeout])
        await clock.advance(timedelta(seconds=90.5, microseconds=-1))
        assert await due(store) == []
        await clock.advance(timedelta(microseconds=1))
        assert await due(store) == [timeout]

    async def test_a_timeout_is_read_as_it_was_created(self, store: TimeoutStore) -> None:
        timeout = Timeout(
            key=TimeoutKey(new_run_id(), Version(2**40), "naïve 🦄: a/b 'c'"),
            workflow="naïve_orders",
            status=2**31 - 1,
            partition=3,
            due_at=START - timedelta(days=1, microseconds=1),
        )
        await store.create([timeout])
        (found,) = await store.due("naïve_orders", 2**31 - 1, [3], limit=10, wait=0)
        assert found == timeout
        assert found.due_at.utcoffset() == timedelta(0)

    async def test_a_time_may_be_given_in_any_zone(
        self, store: TimeoutStore, clock: FakeClock
    ) -> None:
        timeout = replace(
            at(60),
            due_at=(START + timedelta(seconds=60)).astimezone(
                timezone(timedelta(hours=5, minutes=45))
            ),
        )
        await store.create([timeout])
        await clock.advance(timedelta(seconds=60))
        (found,) = await due(store)
        assert found.due_at == timeout.due_at

    async def test_due_timeouts_are_sorted_by_time_run_visit_and_name(
        self, store: TimeoutStore
    ) -> None:
        one, two = sorted(new_run_id() for _ in range(2))
        ordered = [
            at(-3, run_id=two),
            at(-2, run_id=one, visit=1, name="a"),
            at(-2, run_id=one, visit=1, name="b"),
            at(-2, run_id=one, visit=2, name="a"),
            at(-2, run_id=one, visit=10, name="a"),
            at(-2, run_id=two, visit=1, name="a"),
            at(-1, run_id=one),
        ]
        await store.create(ordered[::-1])
        assert await due(store) == ordered
        assert await due(store, limit=3) == ordered[:3]

    async def test_a_due_timeout_is_returned_until_it_is_completed(
        self, store: TimeoutStore
    ) -> None:
        one, two = at(-2), at(-1)
        await store.create([one, two])
        assert await due(store) == [one, two]
        assert await due(store) == [one, two]
        await store.complete([one.key])
        await store.complete([one.key, TimeoutKey(new_run_id(), Version(1), "unknown")])
        assert await due(store) == [two]
        await store.complete([two.key])
        assert await due(store) == []

    async def test_timeouts_that_cannot_be_completed_now_do_not_hide_later_ones(
        self, store: TimeoutStore
    ) -> None:
        ordered = [at(-at_once) for at_once in (5, 4, 3, 2, 1)]
        await store.create(ordered)
        seen: list[Timeout] = []
        while page := await store.due(
            "orders", CREATED, ALL, limit=2, wait=0, after=seen[-1] if seen else None
        ):
            seen += page
        assert seen == ordered

    async def test_pages_neither_repeat_nor_skip_timeouts_that_are_due_at_the_same_time(
        self, store: TimeoutStore
    ) -> None:
        run_ids = sorted(new_run_id() for _ in range(3))
        ordered = [
            at(-1, run_id=run_id, visit=visit, name=name)
            for run_id in run_ids
            for visit in (1, 2)
            for name in ("a", "b")
        ]
        await store.create(ordered[::-1])
        seen: list[Timeout] = []
        while page := await store.due(
            "orders", CREATED, ALL, limit=5, wait=0, after=seen[-1] if seen else None
        ):
            seen += page
        assert seen == ordered

    async def test_a_wait_for_timeouts_after_one_is_ended_by_a_later_one_only(
        self, store: TimeoutStore, clock: FakeClock
    ) -> None:
        earlier, given, later = at(-2), at(-1), at(60)
        await store.create([earlier, given, later])
        waiting = await begin(
            clock, store.due("orders", CREATED, ALL, limit=10, wait=LONG, after=given)
        )
        await store.create([at(-3)])
        await settle(clock)
        assert not waiting.done()
        assert await result_within(clock, waiting, seconds=60) == [later]

    async def test_completing_an_unknown_timeout_does_not_prevent_its_creation(
        self, store: TimeoutStore
    ) -> None:
        timeout = at(-1)
        await store.complete([timeout.key])
        await store.create([timeout])
        assert await due(store) == [timeout]

    async def test_a_timeout_is_forgotten_some_time_after_it_was_completed(
        self, store: TimeoutStore, clock: FakeClock
    ) -> None:
        old, open_one = [at(-2, name=name) for name in "abc"], at(-1)
        await store.create([*old, open_one])
        await store.complete([timeout.key for timeout in old])
        assert await store.trim_timeouts(completed=60, limit=10) == 0
        await store.create(old)
        assert await due(store) == [open_one], "until it is forgotten a repeat changes nothing"
        await clock.advance(timedelta(seconds=60))
        assert [await store.trim_timeouts(completed=60, limit=2) for _ in range(3)] == [2, 1, 0]
        assert await due(store) == [open_one]

    async def test_a_timeout_that_is_completed_early_is_never_due(
        self, store: TimeoutStore, clock: FakeClock
    ) -> None:
        timeout = at(60)
        await store.create([timeout])
        await store.complete([timeout.key])
        await clock.advance(timedelta(seconds=61))
        assert await due(store) == []

    async def test_the_first_of_two_timeouts_with_the_same_key_stays(
        self, store: TimeoutStore
    ) -> None:
        first = at(-10)
        later = replace(first, due_at=START + timedelta(hours=1), status=PAID, partition=1)
        await store.create([first])
        await store.create([later, first])
        assert await due(store) == [first]
        assert await due(store, status=PAID) == []

    async def test_the_first_of_two_timeouts_with_the_same_key_in_one_call_stays(
        self, store: TimeoutStore
    ) -> None:
        first = at(-10)
        await store.create([first, replace(first, due_at=START - timedelta(seconds=5))])
        assert await due(store) == [first]

    async def test_a_completed_timeout_is_not_created_again(self, store: TimeoutStore) -> None:
        timeout = at(-10)
        await store.create([timeout])
        await store.complete([timeout.key])
        await store.create([timeout])
        assert await due(store) == []

    async def test_timeouts_differ_by_run_visit_and_name(self, store: TimeoutStore) -> None:
        run_id = new_run_id()
        timeouts = [
            at(-10 + visit, run_id=run_id, visit=visit, name=name)
            for visit in (1, 2)
            for name in ("a", "A", "a ")
        ]
        await store.create(timeouts)
        assert {timeout.key for timeout in await due(store)} == {
            timeout.key for timeout in timeouts
        }

    async def test_only_timeouts_of_the_workflow_status_and_partitions_named_are_due(
        self, store: TimeoutStore
    ) -> None:
        timeouts = {partition: at(-1, partition=partition) for partition in ALL}
        await store.create(
            [*timeouts.values(), replace(at(-1), workflow="invoices"), replace(at(-1), status=PAID)]
        )
        found = await store.due("orders", CREATED, [1, 3], limit=10, wait=0)
        assert {timeout.key for timeout in found} == {timeouts[1].key, timeouts[3].key}
        assert await store.due("orders", CREATED, [], limit=10, wait=0) == []

    async def test_thousands_of_timeouts_may_be_created_and_completed_in_one_call(
        self, store: TimeoutStore
    ) -> None:
        timeouts = [at(-5000 + number, partition=number % PARTITIONS) for number in range(2000)]
        await store.create(timeouts)
        assert await due(store, limit=5000) == timeouts
        await store.complete([timeout.key for timeout in timeouts[:1999]])
        assert await due(store) == timeouts[1999:]

    async def test_empty_calls_neither_create_nor_complete_a_timeout(
        self, store: TimeoutStore
    ) -> None:
        await store.create([])
        await store.complete([])
        assert await due(store) == []

    async def test_a_creation_cut_after_any_message_creates_all_timeouts_or_none(
        self, store: TimeoutStore, fragile: Fragile
    ) -> None:
        async for number, cut in cuts(fragile):
            timeouts = [at(-1, name=f"timeout-{number}", partition=partition) for partition in ALL]
            with cut:
                await fragile.store.create(timeouts)
            created = await due(store)
            assert len(created) in (0, len(ALL))
            await store.create(timeouts)  # repeating is safe
            assert {timeout.key for timeout in await due(store)} == {
                timeout.key for timeout in timeouts
            }
            await store.complete([timeout.key for timeout in timeouts])

    # --- waiting --------------------------------------------------------------------------------

    async def test_due_waits_until_the_first_timeout_is_due(
        self, store: TimeoutStore, clock: FakeClock
    ) -> None:
        timeout = at(60)
        await store.create([timeout])
        waiting = await begin(clock, store.due("orders", CREATED, ALL, limit=10, wait=LONG))
        await clock.advance(timedelta(seconds=59))
        await settle(clock)
        assert not waiting.done()
        assert await result_within(clock, waiting, seconds=1) == [timeout]

    async def test_a_new_timeout_wakes_callers_of_due_that_wait(
        self, store: TimeoutStore, clock: FakeClock
    ) -> None:
        waiting = await begin(clock, store.due("orders", CREATED, ALL, limit=10, wait=LONG))
        timeout = at(-1)
        await store.create([timeout])
        assert await result_of(waiting) == [timeout]

    async def test_due_ends_after_its_wait(self, store: TimeoutStore, clock: FakeClock) -> None:
        await store.create([at(60)])
        waiting = await begin(clock, store.due("orders", CREATED, ALL, limit=10, wait=5))
        assert await result_at_timeout(clock, waiting, seconds=5) == []

    async def test_the_timeouts_of_a_process_are_visible_to_others(
        self, store: TimeoutStore, another: Another, clock: FakeClock
    ) -> None:
        one, two = at(-2), at(-1)
        waiting = await begin(clock, store.due("orders", CREATED, ALL, limit=10, wait=LONG))
        async with another() as other:
            await other.create([one])
            assert await result_across_processes(clock, waiting) == [one]
            await store.complete([one.key])
            await other.create([one, two])
            assert await due(other) == [two]
