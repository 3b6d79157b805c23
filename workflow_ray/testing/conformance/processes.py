"""Cases of a RecordStore that several processes have open."""

import asyncio
from collections.abc import Sequence

from workflow_ray.ports import Records
from workflow_ray.records import (
    ActiveRun,
    Conflict,
    KeyUsed,
    Record,
    Stored,
    Version,
    Write,
    WriteResult,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Another,
    Conformance,
    begin,
    openings,
    result_across_processes,
)
from workflow_ray.testing.conformance.runs import (
    acquire,
    check_one_won,
    deploy,
    event,
    events_of,
    group,
    new_run,
    results,
    step,
    store_all,
    stored,
    stored_run,
    stored_runs,
    versions,
    workflow,
)

WRITERS = 50
PROCESSES = 5
ROUNDS = 10


class ProcessCases(Conformance):
    async def test_one_of_many_writers_in_several_processes_wins_each_version(
        self, store: Records, another: Another
    ) -> None:
        record = await stored_run(store)
        async with openings(another, count=PROCESSES) as stores:
            for _ in range(3):
                answers = await at_once(stores, [step(record) for _ in range(WRITERS)])
                won, lost = (
                    Stored(record.run_id, Version(record.version + 1)),
                    Conflict(record.run_id, Version(record.version + 1)),
                )
                assert (answers.count(won), answers.count(lost)) == (1, WRITERS - 1)
                record = await stored(store, record.run_id)
        assert await versions(store, record.run_id) == [1, 2, 3, 4]

    async def test_one_of_many_triggers_in_several_processes_gets_the_foreign_id(
        self, store: Records, another: Another
    ) -> None:
        async with openings(another, count=PROCESSES) as stores:
            answers = await at_once(stores, [new_run("order-42") for _ in range(WRITERS)])
        check_one_won(answers, others=ActiveRun)
        assert [count.runs for count in await store.counts("orders")] == [1]

    async def test_one_of_many_triggers_in_several_processes_gets_the_key(
        self, store: Records, another: Another
    ) -> None:
        async with openings(another, count=PROCESSES) as stores:
            answers = await at_once(stores, [new_run(key="k") for _ in range(WRITERS)])
        check_one_won(answers, others=KeyUsed)

    async def test_a_write_that_several_processes_repeat_is_made_once(
        self, store: Records, another: Another
    ) -> None:
        fence, record = await acquire(store), await stored_run(store)
        write = step(record, events=[event()])
        async with openings(another, count=PROCESSES) as stores:
            answers = await at_once(stores, [write] * WRITERS)
        assert answers == [Stored(write.run_id, Version(2))] * WRITERS
        assert await versions(store, write.run_id) == [1, 2]
        assert len(await store.pending(fence, limit=10, wait=0)) == 1

    async def test_processes_that_write_the_same_runs_in_opposite_orders_are_all_answered(
        self, store: Records, another: Another
    ) -> None:
        other: Records
        records = await stored_runs(store, count=20)
        async with another() as other:
            for _ in range(ROUNDS):
                there, back = (
                    [step(record) for record in ordered] for ordered in (records, records[::-1])
                )
                groups = [[group(*writes[:7]), group(*writes[7:])] for writes in (there, back)]
                forward, backward = await asyncio.gather(
                    store.store(groups[0]), other.store(groups[1])
                )
                _one_of_the_two_moved_each(records, results(forward), results(backward)[::-1])
                records = [await stored(store, record.run_id) for record in records]
        assert {record.version for record in records} == {ROUNDS + 1}

    async def test_processes_that_trigger_the_same_runs_in_opposite_orders_are_all_answered(
        self, store: Records, another: Another
    ) -> None:
        async with another() as other:
            for number in range(ROUNDS):
                foreign_ids = [f"order-{number}-{at}" for at in range(20)]
                there = [new_run(foreign_id, key=foreign_id) for foreign_id in foreign_ids]
                back = [new_run(foreign_id, key=foreign_id) for foreign_id in reversed(foreign_ids)]
                forward, backward = await asyncio.gather(
                    store_all(store, *there), store_all(other, *back)
                )
                for answers in zip(forward, reversed(backward), strict=True):
                    check_one_won(list(answers), others=KeyUsed)

    async def test_the_commits_of_a_process_are_visible_to_others(
        self, store: Records, another: Another
    ) -> None:
        async with another() as other:
            record = await stored_run(other)
            assert await store.lookup([record.run_id], fresh=True) == [record]
            assert await store.latest("orders", [record.foreign_id]) == [record]
            await store_all(store, step(record))
            assert await versions(other, record.run_id) == [1, 2]

    async def test_a_watch_notices_the_writes_of_another_process(
        self, store: Records, another: Another, clock: FakeClock
    ) -> None:
        record = await stored_run(store)
        watch = await begin(clock, store.watch({record.run_id: record.version}, wait=LONG))
        async with another() as other:
            await store_all(other, step(record))
            assert await result_across_processes(clock, watch) == [
                await stored(store, record.run_id)
            ]

    async def test_pending_notices_the_commits_of_another_process(
        self, store: Records, another: Another, clock: FakeClock
    ) -> None:
        fence, run = await acquire(store), new_run(events=[event()])
        pending = await begin(clock, store.pending(fence, limit=10, wait=LONG))
        async with another() as other:
            await store_all(other, run)
            assert [
                item.run_id for item in events_of(await result_across_processes(clock, pending))
            ] == [run.run_id]

    async def test_a_wait_for_a_newer_deployment_notices_the_deploy_of_another_process(
        self, store: Records, another: Another, clock: FakeClock
    ) -> None:
        first = await deploy(store, workflow())
        waiting = await begin(clock, store.deployment(newer_than=first.version, wait=LONG))
        async with another() as other:
            second = await deploy(other, workflow("invoices", groups={}))
            assert await result_across_processes(clock, waiting) == second

    async def test_one_of_several_deploys_in_several_processes_wins(
        self, store: Records, another: Another
    ) -> None:
        async with openings(another, count=PROCESSES) as stores:
            deploys = (other.deploy(0, [workflow()]) for other in stores)
            answers = await asyncio.gather(*deploys, return_exceptions=True)
            assert sorted(type(answer).__name__ for answer in answers) == ["Deployment"] + [
                "DeploymentConflict"
            ] * (PROCESSES - 1)
            assert (await deploy(store, workflow())).version == 2


async def at_once(stores: Sequence[Records], writes: Sequence[Write]) -> list[WriteResult]:
    """Store the writes at the same time, each through one of the stores, and return the answers."""
    calls = (store_all(stores[at % len(stores)], write) for at, write in enumerate(writes))
    return [answer for (answer,) in await asyncio.gather(*calls)]


def _one_of_the_two_moved_each(
    records: Sequence[Record], one: Sequence[WriteResult], two: Sequence[WriteResult]
) -> None:
    for record, *answers in zip(records, one, two, strict=True):
        moved = Version(record.version + 1)
        assert sorted(answers, key=str) == [
            Conflict(record.run_id, moved),
            Stored(record.run_id, moved),
        ]
