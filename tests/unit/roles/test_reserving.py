"""The offsets that a row reserves: their events may be given to user code, so they are in doubt
after a crash (E1).
"""

import asyncio
from collections.abc import Sequence

from tests.unit.bench import Bench, triggered
from tests.unit.faulty_store import FaultyStore
from tests.unit.parcels import Parcel, ParcelRun, Stage
from tests.unit.roles.crashing import (
    UNTOUCHED,
    Work,
    doing,
    hang,
    histories,
    names,
    succeed,
)
from workflow_ray import RunState, Trigger
from workflow_ray.engine.pace import AHEAD, LEAST
from workflow_ray.records import GroupResult, WriteGroup
from workflow_ray.roles.group_commits import BATCH
from workflow_ray.runtime.deploying import describe_here, merge


async def test_attempts_that_wait_for_their_turn_are_not_in_doubt() -> None:
    work: list[Work] = [hang]
    workflow = doing(work, partitions=1, max_in_flight=5)
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *names(1000))
        await bench.pass_time()
        (row,) = await bench.rows(Stage.NEW)
        assert 5 <= row.begun <= 5 + LEAST, "five run, though a thousand are in hand"


async def test_only_events_that_may_have_begun_are_in_doubt_under_a_backlog() -> None:
    work: list[Work] = [hang]
    workflow = doing(work, partitions=16, max_in_flight=5)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, *names(6000))
        await bench.pass_time()
        await consumer.kill()
        begun = sum(
            min(row.begun, end)
            for row, end in zip(
                await bench.rows(Stage.NEW), await bench.ends(Stage.NEW), strict=True
            )
        )
        bench.store.groups.clear()
        work.append(succeed)
        await bench.consumer(Stage.NEW)
        while {found.run_state for found in await bench.store.counts("parcels")} != {
            RunState.COMPLETED
        }:
            await asyncio.sleep(0.01)
            await bench.pass_time()
        tried = {
            (row.partition, offset)
            for group in bench.store.groups
            for row in group.positions
            for offset in row.trying
        }
        assert 0 < len(tried) <= begun < 500
        assert await histories(bench, runs) == {tuple(UNTOUCHED)}


async def test_no_event_is_given_to_user_code_before_the_stored_row_covers_it() -> None:
    uncovered, benches = list[int](), list[Bench]()

    async def look(run: ParcelRun) -> None:
        (row,) = await benches[0].rows(Stage.NEW)
        if int(run.foreign_id) >= row.begun:
            uncovered.append(int(run.foreign_id))
        if run.foreign_id == "0":
            await asyncio.Event().wait()

    workflow = doing([look], partitions=1)
    async with Bench(workflow) as bench:
        benches.append(bench)
        await bench.publisher()
        await triggered(bench, workflow, *names(3000))
        await bench.consumer(Stage.NEW)
        while (
            sum(
                found.runs
                for found in await bench.store.counts("parcels")
                if found.run_state is RunState.COMPLETED
            )
            < 2999
        ):
            await bench.pass_time()
        (row,) = await bench.rows(Stage.NEW)
        assert (row.offset, uncovered) == (0, [])
        assert row.begun >= 3000


class SlowStore(FaultyStore):
    """A store whose commits take so long that hundreds of quick steps end meanwhile."""

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        for _ in range(50):
            await asyncio.sleep(0)
        return await super().store(groups)


async def test_quick_steps_do_not_wait_for_extra_commits() -> None:
    workflow = doing([succeed])
    async with Bench(workflow) as bench:
        bench.store = bench.whole = SlowStore(bench.clock)
        await merge(bench.whole, [describe_here(workflow)])
        await bench.publisher()
        runs = names(5000)
        await bench.client(workflow).trigger_many(Trigger(name, Parcel()) for name in runs)
        await bench.pass_time()
        bench.store.groups.clear()
        await bench.consumer(Stage.NEW)
        while sum(len(group.writes) for group in bench.store.groups) < len(runs):
            await asyncio.sleep(0)
        most = len(runs) / BATCH + 5
        assert len(bench.store.groups) <= most, (
            "one as the role begins, and a few until its pace is known"
        )


async def test_an_event_for_an_idle_role_does_not_wait_for_a_commit() -> None:
    workflow = doing([succeed], partitions=16)
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        for name in names(100):
            bench.store.groups.clear()
            await triggered(bench, workflow, name)
            await bench.pass_time()
            assert len([group for group in bench.store.groups if group.positions]) == 1


async def test_few_events_are_in_doubt_when_steps_become_slow() -> None:
    gate, work = asyncio.Semaphore(0), list[Work]()

    async def wait(run: ParcelRun) -> None:
        await gate.acquire()

    work.append(succeed)
    workflow = doing(work, partitions=1, max_in_flight=5)
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *names(2000))
        await bench.pass_time()
        work.append(wait)
        await triggered(bench, workflow, *(f"slow {name}" for name in names(1000)))
        for _ in range(990):
            gate.release()
            await bench.pass_time()
        (row,) = await bench.rows(Stage.NEW)
        assert row.begun - row.offset <= 5 + 2 * AHEAD
