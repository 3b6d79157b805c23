"""Ends of a role, and losses of its fence, that are not crashes: they cost no attempt (E1)."""

import asyncio

from tests.unit.bench import AtWork, Bench, triggered
from tests.unit.parcels import ParcelRun, Stage
from tests.unit.roles.crashing import (
    ROLE,
    UNTOUCHED,
    Work,
    doing,
    hang,
    histories,
    names,
    succeed,
)
from workflow_ray.records import Cause
from workflow_ray.roles.in_doubt import LOOK, LOOKS

RELEASE = LOOK * LOOKS
"""Seconds until an earlier holder counts as dead, where nothing is held up."""


async def recovering(bench: Bench) -> AtWork:
    """Let a consumer die while it works, and return the next one, which tries its events."""
    dead = await bench.consumer(Stage.NEW)
    await bench.pass_time()
    await dead.kill()
    consumer = await bench.consumer(Stage.NEW)
    await bench.pass_time()
    return consumer


async def test_a_partition_can_be_released_after_everything_in_doubt_was_tried() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, "1")
        await bench.pass_time()
        await consumer.kill()
        work.append(succeed)
        consumer = await bench.consumer(Stage.NEW)
        await bench.pass_time()
        runs = await triggered(bench, workflow, "2")
        await bench.pass_time()
        assert await bench.causes(runs["2"].run_id) == UNTOUCHED
        await consumer.leave()
        assert {row.in_use for row in await bench.rows(Stage.NEW)} == {None}


async def test_an_orderly_stop_that_abandons_its_steps_costs_no_attempt() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, *names(5))
        for _ in range(4):
            consumer = await bench.consumer(Stage.NEW)
            await bench.pass_time()
            await consumer.abandon()
            assert {row.in_use for row in await bench.rows(Stage.NEW)} == {None}
        work.append(succeed)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert await histories(bench, runs) == {tuple(UNTOUCHED)}


async def test_a_stop_keeps_only_untried_events_in_doubt() -> None:
    work: list[Work] = [hang]
    workflow = doing(work, partitions=1)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, *names(3))
        await bench.pass_time()
        await consumer.kill()
        (killed,) = await bench.rows(Stage.NEW)
        consumer = await bench.consumer(Stage.NEW)
        await bench.pass_time()
        await consumer.abandon()
        (row,) = await bench.rows(Stage.NEW)
        assert (row.in_use, row.trying) == (killed.in_use, ())
        work.append(succeed)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert await histories(bench, runs) == {tuple(UNTOUCHED)}


async def test_an_orderly_stop_gives_a_counted_attempt_back() -> None:
    work: list[Work] = [hang]
    workflow = doing(work, attempts=2)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, "1")
        for _ in range(2):
            consumer = await bench.consumer(Stage.NEW)
            await bench.pass_time()
            await consumer.kill()
        consumer = await bench.consumer(Stage.NEW)
        await bench.pass_time(seconds=RELEASE)
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.DOUBT]
        await consumer.abandon()
        assert await bench.causes(runs["1"].run_id) == [
            Cause.TRIGGER,
            Cause.DOUBT,
            Cause.GIVEN_BACK,
        ]
        assert (await runs["1"].get()).attempt == 0
        work.append(succeed)
        await bench.consumer(Stage.NEW)
        await bench.pass_time(seconds=2)
        assert (await bench.causes(runs["1"].run_id))[-1] is Cause.STEP


async def test_a_fence_lost_while_alive_costs_no_attempt() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, *names(5))
        for _ in range(4):
            loser = await bench.consumer(Stage.NEW)
            await bench.pass_time()
            await bench.whole.acquire(ROLE)
            await loser.lose()
        work.append(succeed)
        await bench.consumer(Stage.NEW)
        await bench.pass_time(seconds=60)
        assert await histories(bench, runs) == {tuple(UNTOUCHED)}


async def test_fences_lost_again_and_again_in_the_middle_of_recoveries_cost_no_attempt() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, *names(5))
        loser = await bench.consumer(Stage.NEW)
        await bench.pass_time()
        for _ in range(4):
            winner = await bench.consumer(Stage.NEW)  # the loser is alive, and does not know yet
            await bench.pass_time(seconds=1)
            await loser.lose()
            await bench.pass_time(seconds=RELEASE)
            loser = winner
        work.append(succeed)
        await bench.consumer(Stage.NEW)
        await bench.pass_time(seconds=1)
        await loser.lose()
        await bench.pass_time(seconds=RELEASE)
        assert await histories(bench, runs) == {tuple(UNTOUCHED)}


async def test_a_role_that_is_fenced_off_while_it_stops_in_a_recovery_costs_no_attempt() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, *names(5))
        loser = await recovering(bench)
        loser.stop.set()  # as before a change of the shard count; its attempt goes on
        await bench.pass_time(seconds=1)
        await bench.whole.acquire(ROLE)
        await loser.lose()
        work.append(succeed)
        await bench.consumer(Stage.NEW)
        await bench.pass_time(seconds=2 * RELEASE)
        assert await histories(bench, runs) == {tuple(UNTOUCHED)}


async def test_time_in_which_the_store_does_not_answer_is_not_time_to_release() -> None:
    work: list[Work] = [hang]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, *names(5))
        loser = await recovering(bench)
        work.append(succeed)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        bench.store.away = True
        await bench.pass_time(seconds=4 * RELEASE)
        bench.store.away = False
        await bench.pass_time(seconds=RELEASE - LOOK)
        await loser.lose()
        await bench.pass_time(seconds=RELEASE)
        assert await histories(bench, runs) == {tuple(UNTOUCHED)}


async def test_a_stop_while_an_earlier_holder_may_release_leaves_its_suspects_as_they_are() -> None:
    workflow = doing([hang], partitions=1)
    async with Bench(workflow) as bench:
        await bench.publisher()
        await triggered(bench, workflow, *names(5))
        for _ in range(2):
            consumer = await bench.consumer(Stage.NEW)
            await bench.pass_time()
            await consumer.kill()
        (row,) = await bench.rows(Stage.NEW)
        assert row.trying == (0,)
        consumer = await bench.consumer(Stage.NEW)
        await bench.pass_time(seconds=1)
        await consumer.leave()
        assert await bench.rows(Stage.NEW) == [row]


async def test_a_store_that_cannot_be_written_for_a_moment_costs_no_attempt() -> None:
    work: list[Work] = [succeed]
    workflow = doing(work)
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, *names(5))
        bench.store.read_only = True
        await bench.pass_time(seconds=30)
        bench.store.read_only = False
        await bench.pass_time(seconds=3)
        assert await histories(bench, runs) == {tuple(UNTOUCHED)}


async def test_a_role_that_raised_and_starts_again_in_its_process_has_nothing_in_doubt() -> None:
    work: list[Work] = [hang]
    workflow = doing(work, partitions=1)
    async with Bench(workflow) as bench:
        await bench.publisher()
        fence = await bench.whole.acquire(ROLE)
        consumer = await bench.start(ROLE, fence)
        runs = await triggered(bench, workflow, *names(5))
        await bench.pass_time()
        await consumer.kill()
        started = list[str]()

        async def linger(run: ParcelRun) -> None:
            started.append(run.foreign_id)
            await asyncio.Event().wait()

        work.append(linger)
        await bench.start(ROLE, fence)
        await bench.pass_time()
        assert len(started) == 5, "all at once, as ever"
        assert await histories(bench, runs) == {(Cause.TRIGGER,)}
