"""Attempts at runs that were being tried when a process died (E1)."""

import asyncio

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Stage
from tests.unit.roles.crashing import (
    COUNTED,
    ROLE,
    Killer,
    Work,
    causes,
    doing,
    fail,
    hang,
    histories,
    names,
    succeed,
)
from workflow_ray import RunState
from workflow_ray.records import Cause, Role
from workflow_ray.roles import in_doubt
from workflow_ray.roles.observation import OBSERVED


@pytest.fixture(autouse=True)
def no_time_to_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every holder die."""
    monkeypatch.setattr(in_doubt, "LOOKS", 0)


async def test_a_step_that_kills_its_process_uses_up_its_attempts_and_no_others() -> None:
    killer = Killer("10")
    workflow = doing([killer], attempts=2)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, *names(20))
        deaths = 0
        while (await runs["10"].get()).run_state is not RunState.PAUSED:
            consumer = await bench.consumer(Stage.NEW)
            await bench.pass_time(0 if killer.kills else 2)
            if killer.kills:
                await consumer.kill()
                deaths += 1
            else:
                await consumer.leave()
            assert deaths < 10
        found = await causes(bench, runs)
        run = await runs["10"].get()
        assert found.pop("10") == [Cause.TRIGGER, Cause.DOUBT, Cause.DOUBT, Cause.FAILED]
        assert run.reason is not None
        assert "the process died while" in run.reason
        for name, handle in runs.items():
            if name != "10":
                neighbour = await handle.get()
                assert (neighbour.run_state, neighbour.attempt) == (RunState.COMPLETED, 0)
        assert deaths == 4, "the first time, together with others, and twice alone"


async def test_a_step_that_takes_long_to_kill_its_process_uses_up_its_attempts_too() -> None:
    killer = Killer("2")
    workflow = doing([killer], attempts=2, partitions=1)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, *names(5))
        for _ in range(8):
            consumer = await bench.consumer(Stage.NEW)
            await bench.pass_time(4 * OBSERVED)
            if killer.kills:
                await consumer.kill()
            else:
                await consumer.leave()
        found = await causes(bench, runs)
        assert found.pop("2") == [Cause.TRIGGER, Cause.DOUBT, Cause.DOUBT, Cause.FAILED]
        assert all(entries[-1] is Cause.STEP for entries in found.values())


async def test_attempts_that_ran_together_when_a_process_died_run_alone_next() -> None:
    together = list[tuple[set[str], Cause]]()
    running = set[str]()
    killer = Killer("5", "6")
    work: list[Work] = [killer]
    workflow = doing(work, partitions=1)
    async with Bench(workflow) as bench:

        async def look(run: ParcelRun) -> None:
            running.add(run.foreign_id)
            await asyncio.sleep(0)
            together.append((set(running), (await bench.causes(run.run_id))[-1]))
            running.discard(run.foreign_id)

        await bench.publisher()
        runs = await triggered(bench, workflow, *names(10))
        for _ in range(2):
            consumer = await bench.consumer(Stage.NEW)
            await bench.pass_time(OBSERVED)
            await consumer.kill()
        (row,) = await bench.rows(Stage.NEW)
        assert row.trying == (5, 6), "what else was tried then had come to its end"
        work.append(look)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        alone = [names for names, cause in together if cause is Cause.DOUBT]
        assert alone == [{"5"}, {"6"}]
        assert (await causes(bench, runs))["5"] == COUNTED


async def test_an_attempt_counted_beforehand_is_counted_once_when_it_fails() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, "1")
        for _ in range(2):
            consumer = await bench.consumer(Stage.NEW)
            await bench.pass_time()
            await consumer.kill()
        work.append(fail)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.DOUBT, Cause.RETRY]
        assert (await runs["1"].get()).attempt == 1


async def test_an_attempt_whose_process_died_after_the_count_is_counted_again() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, "1")
        for _ in range(3):
            consumer = await bench.consumer(Stage.NEW)
            await bench.pass_time()
            await consumer.kill()
        work.append(succeed)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.DOUBT]
        await bench.pass_time(seconds=1)
        assert await bench.causes(runs["1"].run_id) == [
            Cause.TRIGGER,
            Cause.DOUBT,
            Cause.DOUBT,
            Cause.STEP,
        ]


async def test_suspects_of_two_roles_of_one_process_are_run_one_after_another() -> None:
    running, most = set[str](), list[int]()

    async def look(run: ParcelRun) -> None:
        running.add(run.foreign_id)
        most.append(len(running))
        await asyncio.sleep(0.01)
        running.discard(run.foreign_id)

    work: list[Work] = [hang]
    workflow = doing(work, partitions=2)
    async with Bench(workflow) as bench:
        await bench.scale(Stage.NEW, shards=2)
        await bench.publisher()
        runs = await triggered(bench, workflow, *names(2 * 8))
        for _ in range(2):
            both = [await bench.start(Role(ROLE.group, shard, 2)) for shard in (1, 2)]
            await bench.pass_time(OBSERVED * 3)
            for consumer in both:
                await consumer.kill()
        work.append(look)
        for shard in (1, 2):
            await bench.start(Role(ROLE.group, shard, 2))
        while any(found[-1] is not Cause.STEP for found in (await causes(bench, runs)).values()):
            await asyncio.sleep(0.01)
            await bench.pass_time()
        assert {tuple(found) for found in (await causes(bench, runs)).values()} == {tuple(COUNTED)}
        assert max(most) == 1


async def test_a_slow_suspect_runs_once_and_delays_the_next_for_a_bounded_time() -> None:
    gate, calls = asyncio.Event(), list[str]()

    async def wait(run: ParcelRun) -> None:
        calls.append(run.foreign_id)
        await gate.wait()

    work: list[Work] = [hang]
    workflow = doing(work, partitions=1)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, "1", "2", "3")
        for _ in range(2):
            consumer = await bench.consumer(Stage.NEW)
            await bench.pass_time(OBSERVED)
            await consumer.kill()
        work.append(wait)
        await bench.consumer(Stage.NEW)
        await bench.pass_time(seconds=OBSERVED - 1)
        assert len(calls) == 1
        await bench.pass_time(seconds=60)  # the events of the counted attempts come in between
        assert sorted(calls) == ["1", "2", "3"]
        gate.set()
        await bench.pass_time()
        assert await histories(bench, runs) == {tuple(COUNTED)}
        assert sum((await bench.position(Stage.NEW)).values()) == 6


async def test_a_run_that_moved_on_before_its_attempt_was_counted_is_left_alone() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, "1")
        for _ in range(2):
            consumer = await bench.consumer(Stage.NEW)
            await bench.pass_time()
            await consumer.kill()
        await bench.cancel_from_outside(runs["1"].run_id)
        work.append(fail)
        await bench.consumer(Stage.NEW)
        await bench.pass_time(seconds=60)
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.CANCEL]
