"""A batch whose process dies is recovered as single runs; only the run that kills it loses
attempts.
"""

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

from tests.unit.bench import AtWork, Bench, triggered
from tests.unit.parcels import ParcelRun, Stage
from tests.unit.roles.batching import (
    SUCCEEDED,
    Batching,
    Results,
    causes,
    done,
    ended,
    names,
)
from workflow_ray import Retry
from workflow_ray.records import Cause
from workflow_ray.roles import batch_calls
from workflow_ray.roles.observation import OBSERVED

COUNTED = [Cause.TRIGGER, Cause.DOUBT, Cause.STEP]


class Killer:
    """Kills the process of each batch that the run "killer" is in, by hanging until a test does."""

    def __init__(self) -> None:
        self.kills = False
        self.calls = Counter[str]()

    async def __call__(self, runs: list[ParcelRun]) -> Results:
        self.calls.update(run.foreign_id for run in runs)
        if any(run.foreign_id == "killer" for run in runs):
            self.kills = True
            await asyncio.Event().wait()
        return done(runs)

    async def process(self, bench: Bench) -> AtWork | None:
        """Run a process until it is killed. None: it lives on, and has nothing left to do."""
        self.kills = False
        consumer = await bench.consumer(Stage.NEW)
        for _ in range(100):
            await bench.pass_time(0.5)
            if self.kills:
                await consumer.kill()
                return consumer
        return None


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_run_that_kills_its_process_uses_up_its_attempts_and_its_neighbours_lose_none(
    attempts: int,
) -> None:
    killer = Killer()
    case = Batching(killer, max_batch=8, retry=Retry(attempts=attempts, backoff=0.0))
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, case.workflow, *names(6), "killer")
        deaths = 0
        while await killer.process(bench):
            deaths += 1
            assert deaths < 10, "it loops"
        found = await causes(bench, runs)
        assert found.pop("killer")[-1] is Cause.FAILED
        assert "killed its process" not in str(found)
        reason = (await runs["killer"].get()).reason
    assert set(map(tuple, found.values())) <= {tuple(SUCCEEDED), tuple(COUNTED)}
    assert reason == (
        f"the process died while {case.workflow.checked().steps[0].name} ran, and its attempts"
        f" ({attempts}) are used up"
    )
    assert case.sizes[0] == 7
    assert set(case.sizes[1:]) == {1}, "what is in doubt is tried in batches of one"


async def test_a_batch_that_died_with_healthy_runs_costs_no_attempt() -> None:
    async def hang(runs: list[ParcelRun]) -> Results:
        return await asyncio.Future[Results]()

    case = Batching(hang, max_batch=8)
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, case.workflow, *names(20))
        await bench.pass_time(1)
        assert case.sizes == [8]
        await consumer.kill()
        case.work = None
        await bench.consumer(Stage.NEW)
        await ended(bench, runs)
        found = await causes(bench, runs)
    assert set(map(tuple, found.values())) == {tuple(SUCCEEDED)}


async def test_after_the_recovery_runs_share_batches_again() -> None:
    async def hang(runs: list[ParcelRun]) -> Results:
        return await asyncio.Future[Results]()

    case = Batching(hang, max_batch=4)
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        await triggered(bench, case.workflow, "in doubt")
        await bench.pass_time(1)
        await consumer.kill()
        case.work = None
        await bench.consumer(Stage.NEW)
        await bench.pass_time(1)
        runs = await triggered(bench, case.workflow, *names(4))
        await ended(bench, runs)
    assert case.calls[1:] == [["in doubt"], names(4)]


async def test_a_stop_past_its_deadline_abandons_the_batch_and_costs_no_attempt() -> None:
    cancelled = list[int]()

    async def hang(runs: list[ParcelRun]) -> Results:
        try:
            return await asyncio.Future[Results]()
        except asyncio.CancelledError:
            cancelled.append(len(runs))
            raise

    case = Batching(hang, max_batch=4)
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, case.workflow, *names(3))
        consumer = await bench.consumer(Stage.NEW)
        await bench.pass_time(1)
        await consumer.abandon()
        assert cancelled == [3]
        case.work = None
        await bench.consumer(Stage.NEW)
        await ended(bench, runs)
        assert set(map(tuple, (await causes(bench, runs)).values())) == {tuple(SUCCEEDED)}
    assert case.sizes == [3, 3], "nothing is in doubt"


async def test_a_batch_that_ignores_its_cancellation_holds_up_no_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_calls, "CANCELLING", 0.05)
    gate = asyncio.Event()

    async def ignore(runs: list[ParcelRun]) -> Results:
        while not gate.is_set():
            with suppress(asyncio.CancelledError):
                await gate.wait()
        return done(runs)

    case = Batching(ignore, max_batch=4)
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        await triggered(bench, case.workflow, *names(3))
        consumer = await bench.consumer(Stage.NEW)
        await bench.pass_time(1)
        async with asyncio.timeout(5):
            await consumer.abandon()
        gate.set()
        await asyncio.sleep(0)


async def test_a_run_that_kills_its_process_after_a_while_costs_its_neighbours_no_attempts() -> (
    None
):
    killer = Killer()
    case = Batching(killer, max_batch=8, retry=Retry(attempts=2, backoff=0.0))
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, case.workflow, "killer", *names(3))
        for _ in range(10):
            killer.kills = False
            consumer = await bench.consumer(Stage.NEW)
            for _ in range(100):
                await bench.pass_time(0.5)
                if killer.kills:
                    break
            else:
                break
            await bench.pass_time(3 * OBSERVED)
            await consumer.kill()
        else:
            raise AssertionError("it loops")
        found = await causes(bench, runs)
    assert found.pop("killer")[-1] is Cause.FAILED
    assert set(map(tuple, found.values())) <= {tuple(SUCCEEDED), tuple(COUNTED)}


async def test_an_orderly_stop_leaves_what_is_in_doubt_and_waits_for_its_batch_uncounted() -> None:
    gate = asyncio.Event()

    async def wait(runs: list[ParcelRun]) -> Results:
        await gate.wait()
        return done(runs)

    case = Batching(wait, max_batch=4, retry=Retry(attempts=2, backoff=0.0))
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, case.workflow, *names(4))
        consumer = await bench.consumer(Stage.NEW)
        await bench.pass_time(1)
        await consumer.kill()
        for _ in range(2):  # the second dies with one of them in its hands, and the third stops
            consumer = await bench.consumer(Stage.NEW)
            await bench.pass_time(3 * OBSERVED)
            if len(case.calls) == 2:
                await consumer.kill()
        leaving = asyncio.create_task(consumer.leave())
        await bench.pass_time(1)
        gate.set()
        await asyncio.wait_for(leaving, 10)
        counted = [found.count(Cause.DOUBT) for found in (await causes(bench, runs)).values()]
        await bench.consumer(Stage.NEW)
        await bench.pass_time(10)
        await ended(bench, runs)
        assert all(each[-1] is Cause.STEP for each in (await causes(bench, runs)).values())
    assert sum(counted) == 1
