"""A circuit breaker of a batch step: each run of a batch is an attempt."""

import asyncio
from collections import Counter

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun
from tests.unit.roles.batching import Batching, Results, begun, done, ended, names
from workflow_ray import Breaker, Cause, Retry, RunState

OPEN_FOR = 30.0
BREAKER = Breaker(error_rate=0.5, window=60, least=4, open_for=OPEN_FOR, probes=2)
LATER = OPEN_FOR * 0.35 + 1


class Gpu:
    """What the batch step needs."""

    def __init__(self) -> None:
        self.works = False
        self.hangs = False

    async def work(self, runs: list[ParcelRun]) -> Results:
        if self.hangs:
            await asyncio.Event().wait()
        if not self.works:
            raise ConnectionError("lost")
        return done(runs)


def batching(gpu: Gpu) -> Batching:
    return Batching(
        gpu.work, max_batch=64, max_wait=0.5, breaker=BREAKER, retry=Retry(attempts=3, backoff=1)
    )


async def test_the_parts_of_a_batch_are_held_back_once_it_is_open() -> None:
    gpu = Gpu()
    case = batching(gpu)
    async with Bench(case.workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, case.workflow, *names(64))
        await bench.pass_time()
        await bench.pass_time()
        alone = [call for call in case.calls if len(call) == 1]
        assert len(alone) <= 6, "the least attempts, and those that began before it opened"
        attempts = Counter([(await handle.get()).attempt for handle in runs.values()])
        assert attempts == {1: len(alone), 0: 64 - len(alone)}

        gpu.works = True
        case.calls.clear()
        await bench.pass_time(OPEN_FOR - 1)
        assert not case.calls
        await bench.pass_time(2)
        assert case.sizes == [BREAKER.probes], "the probes are one batch"
        await bench.pass_time(LATER)
        await ended(bench, runs)
        for handle in runs.values():
            assert (await handle.get()).run_state is RunState.COMPLETED


async def test_a_batch_that_was_held_back_leaves_its_place_to_others() -> None:
    """After two crashes, the runs in doubt are batches of their own, each with a place reserved."""
    gpu = Gpu()
    case = batching(gpu)
    async with Bench(case.workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, case.workflow, *names(12))
        gpu.hangs = True
        for _ in range(2):
            consumer = await bench.consumer(case.workflow.start)
            for _ in range(20):
                await bench.pass_time(1)
            await consumer.kill()
        gpu.hangs = False
        await bench.consumer(case.workflow.start)
        for _ in range(40):
            await bench.pass_time(1)
        histories = [await bench.causes(handle.run_id) for handle in runs.values()]
        assert any(causes[-2:] == [Cause.DOUBT, Cause.PARKED] for causes in histories), histories
        gpu.works = True
        await bench.pass_time(3 * OPEN_FOR + 2 * LATER)
        await ended(bench, runs)
        for handle in runs.values():
            assert (await handle.get()).run_state is RunState.COMPLETED
            causes = await bench.causes(handle.run_id)
            assert causes.count(Cause.RETRY) + causes.count(Cause.DOUBT) <= 3
