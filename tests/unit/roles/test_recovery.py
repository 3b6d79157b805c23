"""What a role does with events that an earlier holder may have been running when its process died (E1)."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Parcels, Stage, parcels
from workflow_ray import Handle, Retry, RunState
from workflow_ray.records import Cause, Role, consumer_group
from workflow_ray.roles.observation import OBSERVED
from workflow_ray.roles.partition import LEAST

ROLE = Role(consumer_group("parcels", Stage.NEW.value))
Work: TypeAlias = Callable[[ParcelRun], Coroutine[Any, Any, None]]

UNTOUCHED = [Cause.TRIGGER, Cause.STEP]
COUNTED = [Cause.TRIGGER, Cause.DOUBT, Cause.STEP]


def doing(work: list[Work], *, attempts: int = 3, partitions: int = 16, max_in_flight: int = 100) -> Parcels:
    """Its step does what stands last in `work`."""
    workflow = parcels(partitions)

    @workflow.step(Stage.NEW, retry=Retry(attempts=attempts, backoff=timedelta(seconds=1)), max_in_flight=max_in_flight)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await work[-1](run)
        return Stage.DONE

    return workflow


async def hang(run: ParcelRun) -> None:
    await asyncio.Event().wait()


async def succeed(run: ParcelRun) -> None:
    pass


async def fail(run: ParcelRun) -> None:
    raise ValueError("broken")


class Killer:
    """Hangs in the run `name`, until its process is killed; and says who was there then."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.running = set[str]()
        self.calls = list[str]()

    async def __call__(self, run: ParcelRun) -> None:
        self.calls.append(run.foreign_id)
        self.running.add(run.foreign_id)
        try:
            if run.foreign_id in self.names:
                await asyncio.Event().wait()
            await asyncio.sleep(0)
        finally:
            self.running.discard(run.foreign_id)

    @property
    def kills(self) -> bool:
        return bool(self.running.intersection(self.names))


async def causes(bench: Bench, runs: dict[str, Handle[Any, Stage]]) -> dict[str, list[Cause]]:
    return {foreign_id: await bench.causes(handle.run_id) for foreign_id, handle in runs.items()}


def names(count: int) -> list[str]:
    return [f"{number}" for number in range(count)]


# --- the first death costs nobody anything --------------------------------------------------------


async def test_a_process_that_dies_with_healthy_runs_in_flight_costs_nobody_an_attempt() -> None:
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
        assert set(map(tuple, (await causes(bench, runs)).values())) == {tuple(UNTOUCHED)}


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


async def test_what_waits_for_its_turn_is_not_in_doubt() -> None:
    work: list[Work] = [hang]
    workflow = doing(work, partitions=1, max_in_flight=5)
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *names(1000))
        await bench.pass_time()
        (row,) = await bench.rows(Stage.NEW)
        assert 5 <= row.begun <= 5 + max(LEAST, 2 * 5), "five run, though a thousand are in hand"


async def test_no_group_is_larger_than_what_the_step_runs_at_a_time() -> None:
    sizes = list[int]()
    work: list[Work] = [hang]
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
        assert set(map(tuple, (await causes(bench, runs)).values())) == {tuple(UNTOUCHED)}


async def test_under_a_backlog_only_what_may_have_been_begun_is_in_doubt() -> None:
    work: list[Work] = [hang]
    workflow = doing(work, partitions=16, max_in_flight=5)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, *names(6000))
        await bench.pass_time()
        await consumer.kill()
        begun = sum(min(row.begun, end) for row, end in zip(await bench.rows(Stage.NEW), await bench.ends(Stage.NEW), strict=True))
        bench.store.groups.clear()
        work.append(succeed)
        await bench.consumer(Stage.NEW)
        while {found.run_state for found in await bench.store.counts("parcels")} != {RunState.COMPLETED}:
            await asyncio.sleep(0.01)
            await bench.pass_time()
        tried = {(row.partition, offset) for group in bench.store.groups for row in group.positions for offset in row.trying}
        assert 0 < len(tried) <= begun < 500
        assert set(map(tuple, (await causes(bench, runs)).values())) == {tuple(UNTOUCHED)}


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


async def test_what_is_tried_together_is_committed_before_it_runs() -> None:
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


async def test_new_events_of_a_partition_wait_until_what_is_in_doubt_there_was_tried_and_others_do_not() -> None:
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
        behind = [name for name, handle in runs.items() if await bench.partition(handle.run_id) == doubtful]
        assert behind
        assert sorted(started) == sorted(["old", *(runs.keys() - behind)])
        await bench.pass_time(OBSERVED)
        assert sorted(started) == sorted(["old", *runs])


# --- the one that kills ---------------------------------------------------------------------------


async def test_a_step_that_kills_its_process_uses_up_its_attempts_and_its_neighbours_lose_none() -> None:
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


async def test_what_was_tried_together_when_a_process_died_is_run_alone_each_attempt_counted_first() -> None:
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
            await bench.pass_time()
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


async def test_an_attempt_whose_process_died_after_the_count_is_counted_again_though_its_event_comes_past_the_doubt() -> None:
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
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.DOUBT, Cause.DOUBT, Cause.STEP]


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


async def test_a_slow_suspect_is_made_once_and_holds_up_the_next_for_a_while_only() -> None:
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
        assert set(map(tuple, (await causes(bench, runs)).values())) == {tuple(COUNTED)}
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


# --- what is no crash -----------------------------------------------------------------------------


async def test_once_everything_in_doubt_was_tried_the_partition_works_normally_and_can_be_released() -> None:
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


async def test_an_orderly_stop_that_abandons_its_steps_costs_nobody_an_attempt() -> None:
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
        assert set(map(tuple, (await causes(bench, runs)).values())) == {tuple(UNTOUCHED)}


async def test_a_stop_keeps_what_was_not_yet_tried_in_doubt_and_blames_nothing_that_was() -> None:
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
        assert set(map(tuple, (await causes(bench, runs)).values())) == {tuple(UNTOUCHED)}


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
        await bench.pass_time()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.DOUBT]
        await consumer.abandon()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.DOUBT, Cause.GIVEN_BACK]
        assert (await runs["1"].get()).attempt == 0
        work.append(succeed)
        await bench.consumer(Stage.NEW)
        await bench.pass_time(seconds=2)
        assert (await bench.causes(runs["1"].run_id))[-1] is Cause.STEP


async def test_a_fence_lost_while_alive_costs_nobody_an_attempt() -> None:
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
        assert set(map(tuple, (await causes(bench, runs)).values())) == {tuple(UNTOUCHED)}


async def test_a_store_that_cannot_be_written_for_a_moment_costs_nobody_an_attempt() -> None:
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
        assert set(map(tuple, (await causes(bench, runs)).values())) == {tuple(UNTOUCHED)}


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
        assert set(map(tuple, (await causes(bench, runs)).values())) == {(Cause.TRIGGER,)}


async def test_nothing_is_handed_out_that_the_row_in_the_store_does_not_cover() -> None:
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
        while sum(found.runs for found in await bench.store.counts("parcels") if found.run_state is RunState.COMPLETED) < 2999:
            await bench.pass_time()
        (row,) = await bench.rows(Stage.NEW)
        assert (row.offset, uncovered) == (0, [])
        assert row.begun >= 3000
