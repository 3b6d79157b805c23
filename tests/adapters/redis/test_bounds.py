"""Reads are bounded and hide nothing that is due, and removals are bounded."""

from datetime import datetime, timedelta
from random import Random
from time import perf_counter
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from workflow_ray.records import (
    BATCH_DATA,
    Fence,
    NewTimeout,
    RunId,
    RunQuery,
    RunState,
    TimeoutKey,
    WaitingQuery,
    Write,
    WriteGroup,
    new_run_id,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import (
    CREATED,
    CREATED_TOPIC,
    QUARTER,
    event,
    new_run,
    step,
    store_all,
)
from workflow_ray_adapters.redis import queries
from workflow_ray_adapters.redis.store import RedisStore

from .conftest import BASE, Driver
from .helpers import acquired


@pytest.fixture
async def publisher(store: RedisStore) -> Fence:
    return await acquired(store)


def with_timeout(after: float, *, name: str = "t", partition: int = 0) -> Write:
    return replace(
        new_run(),
        timeouts=(NewTimeout(name=name, workflow="orders", partition=partition, after=after),),
    )


# --- bytes --------------------------------------------------------------------------------------


async def test_a_lookup_returns_a_prefix_that_fits_and_the_next_one_returns_the_rest(
    store: RedisStore,
) -> None:
    runs = [new_run(data=QUARTER) for _ in range(11)]
    for run in runs:
        await store_all(store, run)
    asked, found = [run.run_id for run in runs], list[RunId]()
    while asked:
        records = await store.lookup(asked)
        assert (
            0 < sum(len(record.data) for record in records if record) <= BATCH_DATA + len(QUARTER)
        )
        found += [record.run_id for record in records if record]
        asked = asked[len(records) :]
    assert found == [run.run_id for run in runs]


# --- the outbox ---------------------------------------------------------------------------------


async def test_delayed_entries_that_are_due_and_immediate_ones_share_the_publisher(
    store: RedisStore, clock: FakeClock, publisher: Fence
) -> None:
    late = [new_run(events=[event(delay=1)]) for _ in range(50)]
    await store_all(store, *late)
    await clock.advance(timedelta(seconds=2))
    prompt = [new_run(events=[event()]) for _ in range(50)]
    await store_all(store, *prompt)
    for limit, least in ((10, 5), (2, 1)):
        found = [
            entry.event.run_id
            for entry in await store.pending(publisher, limit=limit, wait=0)
            if entry.event
        ]
        assert len(found) == limit
        for kind in (late, prompt):
            assert len({run.run_id for run in kind}.intersection(found)) >= least
    both = [await store.pending(publisher, limit=1, wait=0) for _ in range(2)]
    assert sorted(entry.due_at is None for (entry,) in both) == [False, True]
    assert await store.move(publisher, limit=100, wait=0) == 100


async def test_timeouts_for_another_store_are_in_the_outbox(
    store: RedisStore, clock: FakeClock, publisher: Fence
) -> None:
    run = replace(with_timeout(60, name="late", partition=3), events=(event(),))
    await store.store([WriteGroup(writes=(run,), timeouts_apart=True)])
    assert await store.move(publisher, limit=10, wait=0) == 1
    (entry,) = await store.pending(publisher, limit=10, wait=0, without=[(CREATED_TOPIC, 0)])
    assert (entry.event, entry.due_at) == (None, None)
    assert entry.timeout is not None
    assert (entry.timeout.key, entry.timeout.partition) == (
        TimeoutKey(run.run_id, run.visit, "late"),
        3,
    )
    assert entry.timeout.due_at == clock.now() + timedelta(seconds=60)
    assert await store.pending(publisher, limit=10, wait=0, timeouts_only=True) == [entry]
    await store.published(publisher, [entry.id])
    assert await store.pending(publisher, limit=10, wait=0) == []


async def test_pending_for_timeouts_only_returns_timeouts_only(
    store: RedisStore, publisher: Fence
) -> None:
    await store_all(store, *(new_run(events=[event()]) for _ in range(20)))
    await store.store([WriteGroup(writes=(with_timeout(1),), timeouts_apart=True)])
    (entry,) = await store.pending(publisher, limit=5, wait=0, timeouts_only=True)
    assert entry.timeout is not None


# --- timeouts -----------------------------------------------------------------------------------


async def test_due_timeouts_that_cannot_be_completed_do_not_hide_later_ones(
    store: RedisStore, clock: FakeClock
) -> None:
    await store_all(store, *(with_timeout(1 + at // 3, partition=at % 2) for at in range(9)))
    await clock.advance(timedelta(seconds=10))
    everything = await store.due("orders", CREATED, [0, 1], limit=100, wait=0)
    assert len(everything) == 9
    found = await store.due("orders", CREATED, [0, 1], limit=2, wait=0)
    while page := await store.due("orders", CREATED, [0, 1], limit=2, wait=0, after=found[-1]):
        found += page
    assert found == everything


async def test_timeouts_are_forgotten_some_time_after_they_were_completed(
    store: RedisStore, clock: FakeClock, behind: Driver
) -> None:
    await store_all(store, *(with_timeout(1) for _ in range(5)))
    await clock.advance(timedelta(seconds=10))
    due = await store.due("orders", CREATED, [0], limit=100, wait=0)
    await store.complete([timeout.key for timeout in due[:4]])
    assert await store.trim_timeouts(completed=60, limit=10) == 0
    await store.create(due[:1])  # a repeat changes nothing meanwhile
    await clock.advance(timedelta(seconds=60))
    assert [await store.trim_timeouts(completed=60, limit=3) for _ in range(3)] == [3, 1, 0]
    assert await store.due("orders", CREATED, [0], limit=100, wait=0) == due[4:]
    assert behind.hlen(f"{BASE}:timeouts") == 1


async def test_due_costs_the_same_however_many_other_timeouts_are_pending(
    store: RedisStore, clock: FakeClock
) -> None:
    for _ in range(20):
        await store_all(store, *(with_timeout(3600) for _ in range(1000)))
    await store_all(store, with_timeout(1))
    await clock.advance(timedelta(seconds=2))
    began = perf_counter()
    for _ in range(20):
        assert len(await store.due("orders", CREATED, range(16), limit=500, wait=0)) == 1
    assert perf_counter() - began < 2  # it takes some 20 ms


# --- runs that wait -----------------------------------------------------------------------------


async def test_waiting_finds_the_runs_without_an_event_among_many_that_have_one(
    store: RedisStore,
) -> None:
    runs = [
        replace(new_run(events=() if at in (7, 8, 9, 15) else [event(delay=60)]), asks=True)
        for at in range(20)
    ]
    await store_all(store, *runs)
    found, query, looks = (
        list[RunId](),
        WaitingQuery(workflow="orders", partition=0, quiet=0, limit=3),
        0,
    )
    while True:
        look = await store.waiting(query)
        looks += 1
        found += [lost.run_id for lost in look.events]
        if look.after is None:
            break
        query = replace(query, after=look.after)
    assert found == sorted(run.run_id for run in runs if not run.events)
    assert looks == 7


async def test_waiting_costs_the_same_however_many_runs_do_not_await_an_event(
    store: RedisStore,
) -> None:
    for _ in range(10):
        runs = [new_run() for _ in range(1000)]
        await store_all(
            store, *runs, *(replace(step(run, run_state=RunState.COMPLETED)) for run in runs)
        )
    lost = replace(new_run(), asks=True)
    await store_all(store, lost)
    look = await store.waiting(WaitingQuery(workflow="orders", partition=0, quiet=0, limit=2))
    assert ([found.run_id for found in look.events], look.after) == ([lost.run_id], None)


async def test_a_first_page_of_few_runs_among_many_finished_ones_is_one_call(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "LOOKED_AT", 100)
    for _ in range(5):
        runs = [new_run() for _ in range(1000)]
        await store_all(
            store, *runs, *(step(run, status=CREATED, run_state=RunState.COMPLETED) for run in runs)
        )
    paused = new_run()
    await store_all(store, paused, step(paused, status=CREATED, run_state=RunState.PAUSED))
    looks = counted_looks(store, monkeypatch)
    query = RunQuery(workflow="orders", statuses=(CREATED,), run_states=(RunState.PAUSED,))
    assert [record.run_id for record in await store.runs(query)] == [paused.run_id]
    assert len(looks) == 1


def counted_looks(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Count the calls that the store makes from now on."""
    looks, server = list[object](), store._server  # pyright: ignore[reportPrivateUsage]  # the test counts its calls
    call = server.call

    async def counted(*args: Any) -> Any:
        looks.append(args)
        return await call(*args)

    monkeypatch.setattr(server, "call", counted)
    return looks


async def test_a_page_by_time_of_creation_examines_the_runs_of_that_time_only(
    store: RedisStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "LOOKED_AT", 100)
    begin, waves = clock.now(), list[list[RunId]]()
    for wave in range(9):
        runs = [
            new_run(run_id=run_id_at(begin + timedelta(hours=wave, seconds=at)))
            for at in range(300)
        ]
        await store_all(store, *runs)
        waves.append([run.run_id for run in runs])
        await clock.advance(timedelta(hours=1))
    looks = counted_looks(store, monkeypatch)
    for newest_first in (False, True):
        looks.clear()
        query = RunQuery(
            workflow="orders",
            created_from=begin + timedelta(hours=4),
            created_before=begin + timedelta(hours=5),
            newest_first=newest_first,
            limit=10_000,
        )
        found, page = list[RunId](), await store.runs(query)
        while page:
            found += [record.run_id for record in page]
            page = await store.runs(replace(query, after=found[-1]))
        assert found == sorted(waves[4], reverse=newest_first)
        assert len(looks) <= 10


def run_id_at(at: datetime) -> RunId:
    """Make a run id that was chosen at that time."""
    hexadecimal = f"{int(at.timestamp() * 1000):012x}"
    return RunId(f"{hexadecimal[:8]}-{hexadecimal[8:]}{new_run_id()[13:]}")


async def test_runs_are_found_by_time_of_creation_whatever_the_time_in_their_ids(
    store: RedisStore, clock: FakeClock, rng: Random
) -> None:
    begin, created = clock.now(), dict[RunId, datetime]()
    for _ in range(60):
        chosen = clock.now() + timedelta(seconds=rng.choice([0, -0.5, 40, -3600, 86_400]))
        run_id = rng.choice([run_id_at(chosen)] * 20 + [RunId(str(uuid4()))])
        await store_all(store, new_run(run_id=run_id))
        created[run_id] = clock.now()
        await clock.advance(timedelta(seconds=rng.choice([0, 0.0005, 1, 600])))
        low, high = sorted(begin + rng.random() * (clock.now() - begin) for _ in range(2))
        query = RunQuery(
            workflow="orders",
            created_from=low,
            created_before=high,
            newest_first=rng.random() < 0.5,
        )
        wanted = sorted(
            (run for run, at in created.items() if low <= at < high), reverse=query.newest_first
        )
        assert [record.run_id for record in await store.runs(query)] == wanted
