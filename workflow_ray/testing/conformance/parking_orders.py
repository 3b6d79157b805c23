"""Cases of RecordStore.parked: orders, pages, and what many callers do at once."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from workflow_ray.errors import WriteRejected
from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    MAX_FOREIGN_ID,
    Conflict,
    Parked,
    ParkedQuery,
    Parking,
    RunId,
    RunState,
    Stored,
    Version,
    Write,
)
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.flow import (
    ORDERS,
    admitted,
    new_parked,
    parked_at,
    parked_now,
    paused,
    store_admitted,
    store_parked,
    summary,
)
from workflow_ray.testing.conformance.posts import (
    CALLERS,
    end,
    store_at_once,
)
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    group,
    results,
    step,
    store_all,
    stored,
    stored_run,
)
from workflow_ray.testing.conformance.triggers import LOOKALIKES


class ParkingOrderCases(Conformance):
    # --- orders and pages -----------------------------------------------------------------------

    async def test_the_largest_priority_goes_first_and_then_the_oldest_run(
        self, store: RecordStore, rng: random.Random
    ) -> None:
        priorities = [-(2**31) + 1, -5, 0, 0, 0, 5, 5, 2**31 - 1]
        runs = [new_parked("a", priority) for priority in priorities]
        for run in rng.sample(runs, len(runs)):
            await store_all(store, run)
        ids = [run.run_id for run in runs]
        order = [ids[7], ids[5], ids[6], *ids[2:5], ids[1], ids[0]]
        assert await parked_now(store) == [("a", 0, order)]
        assert await parked_now(store, per_key=3) == [("a", 0, order[:3])]
        await store_all(store, admitted(runs[7]))
        assert await parked_now(store, per_key=3) == [("a", 1, order[1:4])]

    async def test_a_priority_that_not_every_store_can_keep_is_refused(
        self, store: RecordStore
    ) -> None:
        for priority in (2**31, -(2**31)):
            with pytest.raises(WriteRejected, match="priority"):
                await store_all(store, new_parked("a", priority))

    async def test_keys_are_sorted_by_their_code_points(self, store: RecordStore) -> None:
        keys = ["", "B", "a", "a ", "aa", "é", "ﬀ", "😀"]
        for key in reversed(keys):
            await store_parked(store, key)
        assert [key for key, _, _ in await parked_now(store)] == keys

    @pytest.mark.parametrize("pair", LOOKALIKES.values(), ids=LOOKALIKES.keys())
    async def test_keys_are_compared_byte_for_byte(
        self, store: RecordStore, pair: tuple[str, str]
    ) -> None:
        runs = [(await store_parked(store, key))[0] for key in pair]
        (slot,) = await store_admitted(store, pair[1])
        expected = [(pair[0], 0, [runs[0].run_id]), (pair[1], 1, [runs[1].run_id])]
        assert await parked_now(store) == sorted(expected)
        assert (await stored(store, slot.run_id)).parking == Parking(key=pair[1])

    async def test_the_longest_keys_are_kept_and_told_apart(self, store: RecordStore) -> None:
        keys = ["🦄" * (MAX_FOREIGN_ID - 1) + last for last in "🦄🦅"]
        runs = [(await store_parked(store, key))[0] for key in keys]
        assert await parked_now(store) == [
            (key, 0, [run.run_id]) for key, run in zip(keys, runs, strict=True)
        ]

    async def test_pages_hold_every_key_once(self, store: RecordStore) -> None:
        parked: dict[str, list[RunId]] = {}
        held: dict[str, int] = {}
        for at in range(23):
            key = f"key-{at:02}"
            if at % 3 != 1:
                parked[key] = [run.run_id for run in await store_parked(store, key, count=3)]
            if at % 3 != 2:
                held[key] = len(await store_admitted(store, key, count=2))
        expected = [
            (key, held.get(key, 0), parked.get(key, [])[:2]) for key in sorted({*parked, *held})
        ]
        found: list[tuple[str, int, list[RunId]]] = []
        after: str | None = None
        pages = 0
        while True:
            page = await store.parked(replace(ORDERS, keys=5, per_key=2, after=after))
            assert page.admitted == sum(held.values())
            found += summary(page)
            pages += 1
            if not page.more:
                break
            assert len(page.keys) == 5
            after = page.keys[-1].key
        assert (found, pages) == (expected, 5)

    async def test_a_page_that_ends_with_the_last_key_says_so(self, store: RecordStore) -> None:
        await store_parked(store, "")
        await store_admitted(store, "b")
        page = await store.parked(replace(ORDERS, keys=2))
        assert ([of.key for of in page.keys], page.more) == (["", "b"], False)
        page = await store.parked(replace(ORDERS, keys=1))
        assert ([of.key for of in page.keys], page.more) == ([""], True)
        page = await store.parked(replace(ORDERS, after="", keys=1))
        assert ([of.key for of in page.keys], page.more, page.admitted) == (["b"], False, 1)
        page = await store.parked(replace(ORDERS, after="b"))
        assert (page.keys, page.more, page.admitted) == ((), False, 1)

    async def test_more_keys_than_a_database_compares_at_once(self, store: RecordStore) -> None:
        runs = [new_parked(f"key-{at:04}") for at in range(700)]
        await store_all(store, *runs)
        found = await parked_now(store, keys=1000)
        assert found == [(f"key-{at:04}", 0, [run.run_id]) for at, run in enumerate(runs)]

    async def test_statuses_and_workflows_have_their_own(self, store: RecordStore) -> None:
        here = (await store_parked(store, "a"))[0]
        there = new_parked("a", workflow="invoices")
        later = parked_at(step(await stored_run(store), status=PAID), "a")
        await store_all(store, there, later)
        await store_all(store, *(admitted(run) for run in (there,)))
        assert await parked_now(store) == [("a", 0, [here.run_id])]
        assert await parked_now(store, workflow="invoices") == [("a", 1, [])]
        assert await parked_now(store, status=PAID) == [("a", 0, [later.run_id])]
        assert await store.parked(ParkedQuery(workflow="nothing", status=CREATED)) == Parked(
            now=(await store.parked(ORDERS)).now,
        )

    # --- at the same time -----------------------------------------------------------------------

    async def test_one_of_many_callers_admits_a_run(self, store: RecordStore) -> None:
        (run,) = await store_parked(store, "a")
        answers = await store_at_once(store, [admitted(run) for _ in range(CALLERS)])
        assert answers.count(Stored(run.run_id, Version(2))) == 1
        assert answers.count(Conflict(run.run_id, Version(2))) == CALLERS - 1
        assert await parked_now(store) == [("a", 1, [])]

    async def test_one_of_two_groups_of_one_call_admits_a_run(self, store: RecordStore) -> None:
        runs = await store_parked(store, "a", count=3)
        calls = [[admitted(run) for run in runs[:2]], [admitted(run) for run in runs[1:]]]
        answers = results(await store.store([group(*writes) for writes in calls]))
        assert [type(answer) for answer in answers] == [Stored, Stored, Conflict, Stored]
        assert await parked_now(store) == [("a", 3, [])]

    async def test_what_many_callers_park_admit_and_end_is_counted_right(
        self, store: RecordStore, rng: random.Random
    ) -> None:
        runs = [new_parked(rng.choice(["", "a", "b"]), rng.randrange(3)) for _ in range(CALLERS)]
        lives = [life(run)[: rng.randint(1, 4)] for run in runs]

        async def live(writes: Sequence[Write]) -> None:
            for write in writes:
                assert await store_all(store, write) == [Stored(write.run_id, write.version)]

        await asyncio.gather(*(live(writes) for writes in lives))
        expected = [
            (
                key,
                sum(len(writes) == 2 for writes in of),
                [
                    write.run_id
                    for write in sorted((writes[0] for writes in of if len(writes) == 1), key=place)
                ],
            )
            for key in ("", "a", "b")
            if (of := [writes for writes in lives if key_of(writes[0]) == key and len(writes) < 3])
        ]
        assert await parked_now(store, per_key=CALLERS) == expected

    async def test_a_run_that_is_cancelled_beside_its_admission_holds_no_slot_after(
        self, store: RecordStore
    ) -> None:
        runs = await store_parked(store, "a", count=CALLERS)
        cancels = [end(run, status=CREATED, run_state=RunState.CANCELLED) for run in runs]
        admissions, ends = await asyncio.gather(
            store_at_once(store, [admitted(run) for run in runs]), store_at_once(store, cancels)
        )
        slots = [isinstance(answer, Stored) for answer in admissions]
        assert [isinstance(answer, Stored) for answer in ends] == [not slot for slot in slots]
        expected: list[tuple[str, int, list[RunId]]] = [("a", sum(slots), [])] if any(slots) else []
        assert await parked_now(store) == expected


def life(run: Write) -> list[Write]:
    """Return the writes of a run that parks, is admitted, pauses, and ends."""
    goes = admitted(run)
    stops = paused(goes)
    return [run, goes, stops, end(stops)]


def key_of(write: Write) -> str:
    assert write.parking is not None
    return write.parking.key


def place(write: Write) -> tuple[int, RunId]:
    """Return the order of a parked run among those of its key."""
    assert write.parking is not None
    return -write.parking.priority, write.run_id
