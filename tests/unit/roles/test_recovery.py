"""Recovery of the events that an earlier holder may have run when its process died (E1)."""

import asyncio

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Stage
from tests.unit.roles.crashing import (
    UNTOUCHED,
    Work,
    causes,
    doing,
    hang,
    histories,
    names,
    succeed,
)
from workflow_ray.roles.observation import OBSERVED


async def test_a_process_that_dies_with_healthy_runs_in_flight_costs_no_attempt() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, *names(50))
        await bench.pass_time()
        await consumer.kill()
        work.append(succeed)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert await histories(bench, runs) == {tuple(UNTOUCHED)}


async def test_offsets_that_were_reserved_for_events_that_never_came_are_not_waited_for() -> None:
    work: list[Work] = [succeed]
    workflow = doing(work, partitions=1)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *names(50))
        await bench.pass_time()
        await consumer.kill()
        (row,), (end,) = await bench.rows(Stage.NEW), await bench.ends(Stage.NEW)
        assert row.begun > row.offset == end
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "new")
        await bench.pass_time()
        assert await causes(bench, runs) == {"new": UNTOUCHED}


async def test_events_in_doubt_are_tried_in_groups_that_double() -> None:
    gates = list[asyncio.Event]()

    async def wait(run: ParcelRun) -> None:
        gates.append(asyncio.Event())
        await gates[-1].wait()

    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *names(20))
        await bench.pass_time()
        await consumer.kill()
        work.append(wait)
        await bench.consumer(Stage.NEW)
        sizes = list[int]()
        while gates:
            sizes.append(len(gates))
            for gate in gates:
                gate.set()
            gates.clear()
            await bench.pass_time()
        assert sizes == [1, 2, 4, 8, 5]


async def test_no_group_is_larger_than_max_in_flight() -> None:
    sizes = list[int]()

    async def hang_later(run: ParcelRun) -> None:
        if int(run.foreign_id) >= 15:
            await hang(run)

    work: list[Work] = [hang_later]
    workflow = doing(work, partitions=1, max_in_flight=3)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, *names(30))
        await bench.pass_time()
        await consumer.kill()

        async def look(run: ParcelRun) -> None:
            (row,) = await bench.rows(Stage.NEW)
            sizes.append(len(row.trying))

        work.append(look)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert max(sizes) == 3
        assert await histories(bench, runs) == {tuple(UNTOUCHED)}


async def test_a_group_waits_for_the_last_one_for_five_seconds_at_most() -> None:
    started = list[str]()

    async def linger(run: ParcelRun) -> None:
        started.append(run.foreign_id)
        await asyncio.Event().wait()

    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *names(7))
        await bench.pass_time()
        await consumer.kill()
        work.append(linger)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        counts = list[int]()
        for _ in range(3):
            counts.append(len(started))
            await bench.pass_time(OBSERVED)
        assert counts == [1, 3, 7]


async def test_the_offsets_of_a_group_are_committed_before_it_runs() -> None:
    seen = list[tuple[int, ...]]()
    work: list[Work] = [hang]
    workflow = doing(work, partitions=1)
    async with Bench(workflow) as bench:

        async def look(run: ParcelRun) -> None:
            (row,) = await bench.rows(Stage.NEW)
            seen.append(row.trying)

        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *names(7))
        await bench.pass_time()
        await consumer.kill()
        work.append(look)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert seen == [(0,), *[(1, 2)] * 2, *[(3, 4, 5, 6)] * 4]


async def test_stale_events_are_not_counted_into_groups() -> None:
    started = list[str]()

    async def linger(run: ParcelRun) -> None:
        started.append(run.foreign_id)
        await asyncio.Event().wait()

    work: list[Work] = [hang]
    workflow = doing(work, partitions=1)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, *names(40))
        await bench.pass_time()
        await consumer.kill()
        for number in range(1, 39):
            await bench.cancel_from_outside(runs[f"{number}"].run_id)
        work.append(linger)
        await bench.consumer(Stage.NEW)
        await bench.pass_time(OBSERVED)
        assert started == ["0", "39"]


async def test_new_events_wait_until_everything_in_doubt_in_their_partition_was_tried() -> None:
    started = list[str]()

    async def linger(run: ParcelRun) -> None:
        started.append(run.foreign_id)
        await asyncio.Event().wait()

    work: list[Work] = [hang]
    workflow = doing(work, partitions=2)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        old = await triggered(bench, workflow, "old")
        await bench.pass_time()
        await consumer.kill()
        work.append(linger)
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, *names(20))
        await bench.pass_time()
        doubtful = await bench.partition(old["old"].run_id)
        behind = [
            name
            for name, handle in runs.items()
            if await bench.partition(handle.run_id) == doubtful
        ]
        assert behind
        assert sorted(started) == sorted(["old", *(runs.keys() - behind)])
        await bench.pass_time(OBSERVED)
        assert sorted(started) == sorted(["old", *runs])
