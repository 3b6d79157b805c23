"""A circuit breaker holds the runs of a step back while what the step needs does not work."""

import asyncio
from collections import Counter
from typing import Literal

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Parcels, Stage, parcels
from workflow_ray import Breaker, Cause, Fatal, Retry, RunState
from workflow_ray.records import Role, consumer_group

OPEN_FOR = 30.0
BREAKER = Breaker(error_rate=0.5, window=60, least=4, open_for=OPEN_FOR, probes=2)
RETRY = Retry(attempts=3, backoff=1)
LATER = OPEN_FOR * 0.35 + 1
"""Seconds after the probes when all other runs have come back."""
FAILED = "4 of 4 attempts failed"


class Service:
    """What the step needs."""

    def __init__(self) -> None:
        self.works = False
        self.calls = Counter[str]()
        self.fatal = set[str]()
        self.hangs = False

    async def call(self, foreign_id: str) -> None:
        self.calls[foreign_id] += 1
        if foreign_id in self.fatal:
            raise Fatal("bad data")
        if self.hangs:
            await asyncio.Event().wait()
        if not self.works:
            raise ConnectionError("refused")


@pytest.fixture
def service() -> Service:
    return Service()


def guarded(service: Service, *, retry: Retry = RETRY, timeout: float | None = None) -> Parcels:
    workflow = parcels()

    @workflow.step(
        Stage.NEW, breaker=BREAKER, retry=retry, timeout=timeout, max_in_flight=1, on_failure=None
    )
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await service.call(run.foreign_id)
        return Stage.DONE

    return workflow


def names(count: int) -> list[str]:
    return [f"p{number}" for number in range(count)]


async def begun(bench: Bench) -> None:
    await bench.publisher()
    await bench.consumer(Stage.NEW)


async def test_it_opens_holds_back_probes_and_closes(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = guarded(service)
    async with Bench(workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, workflow, *names(10))
        await bench.pass_time()
        assert service.calls.total() == 4, "no attempt is made while it is open"
        histories = [await handle.history() for handle in runs.values()]
        last = Counter((entries[-1].cause, entries[-1].run_state) for entries in histories)
        assert last == {
            (Cause.RETRY, RunState.RUNNING): 4,
            (Cause.PARKED, RunState.RUNNING): 6,
        }
        parked = [await handle.get() for handle in runs.values()]
        reasons = {run.reason or "" for run in parked if run.attempt == 0}
        assert len(reasons) > 1, "they come back at different times"
        for reason in reasons:
            assert reason.startswith(
                f"the circuit breaker of guarded.<locals>.pack is open: {FAILED}; next try in "
            ), reason
        role = Role(consumer_group("parcels", Stage.NEW.value)).name
        assert bench.in_flight.breaker(role).endswith(f"is open: {FAILED}; next try in 30 s")
        assert f"is open: {FAILED}" in caplog.text

        await bench.pass_time(OPEN_FOR - 1)
        assert service.calls.total() == 4
        await bench.pass_time(1)
        assert service.calls.total() == 5, "one probe fails, and it is open again"
        assert "one of 2 probes failed; next try in 1 min" in bench.in_flight.breaker(role)

        service.works = True
        await bench.pass_time(2 * OPEN_FOR + 2 * LATER)
        done = [await handle.get() for handle in runs.values()]
        assert {run.run_state for run in done} == {RunState.COMPLETED}
        assert max(service.calls.values()) <= RETRY.attempts
        assert bench.in_flight.breaker(role) == ""
    for name, handle in runs.items():
        causes = [entry.cause for entry in await handle.history()]
        assert service.calls[name] == causes.count(Cause.RETRY) + 1, "each attempt is counted"


async def test_the_position_moves_on_so_that_nothing_is_in_doubt(service: Service) -> None:
    workflow = guarded(service)
    async with Bench(workflow) as bench:
        await begun(bench)
        await triggered(bench, workflow, *names(10))
        await bench.pass_time()
        position = await bench.position(Stage.NEW)
        assert [position.get(at, 0) for at in range(16)] == await bench.ends(Stage.NEW)


async def test_runs_that_are_held_back_survive_the_death_of_the_role(service: Service) -> None:
    workflow = guarded(service)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, *names(10))
        await bench.pass_time()
        await consumer.kill()
        service.works = True
        await bench.consumer(Stage.NEW)
        await bench.pass_time(OPEN_FOR + LATER)
        for handle in runs.values():
            assert (await handle.get()).run_state is RunState.COMPLETED
            assert Cause.DOUBT not in await bench.causes(handle.run_id)


async def test_attempts_that_take_too_long_count(service: Service) -> None:
    service.hangs = True
    workflow = guarded(service, timeout=5.0)
    async with Bench(workflow) as bench:
        await begun(bench)
        await triggered(bench, workflow, *names(6))
        for _ in range(5):
            await bench.pass_time(5.0)
        assert service.calls.total() == 4
        role = Role(consumer_group("parcels", Stage.NEW.value)).name
        assert f"is open: {FAILED}" in bench.in_flight.breaker(role)


async def test_fatal_errors_do_not_count(service: Service) -> None:
    service.fatal = set(names(20))
    workflow = guarded(service)
    async with Bench(workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, workflow, *names(20))
        for _ in range(5):
            await bench.pass_time(1)
        assert service.calls.total() == 20
        for handle in runs.values():
            assert await bench.causes(handle.run_id) == [Cause.TRIGGER, Cause.FAILED]


async def test_a_fatal_error_of_a_probe_lets_another_probe_through(service: Service) -> None:
    workflow = guarded(service)
    async with Bench(workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, workflow, *names(12))
        await bench.pass_time()
        service.works = True
        service.fatal = {name for name in runs if not service.calls[name]}
        await bench.pass_time(OPEN_FOR + 3 * LATER)
        for name, handle in runs.items():
            last = (await handle.history())[-1].cause
            assert last is (Cause.FAILED if name in service.fatal else Cause.STEP)


async def test_a_run_that_is_held_back_can_be_cancelled_and_retried(service: Service) -> None:
    workflow = guarded(service)
    async with Bench(workflow) as bench:
        await begun(bench)
        runs = await triggered(bench, workflow, *names(8))
        await bench.pass_time()
        held = [handle for name, handle in runs.items() if not service.calls[name]]
        await held[0].cancel("not needed")
        await held[1].pause("wait")
        await bench.pass_time(OPEN_FOR)
        await held[1].resume()
        service.works = True
        await bench.pass_time(OPEN_FOR * 2 + LATER * 2)
        assert (await held[0].get()).run_state is RunState.CANCELLED
        others = [await handle.get() for handle in runs.values() if handle is not held[0]]
        assert {run.run_state for run in others} == {RunState.COMPLETED}


async def test_an_attempt_in_doubt_that_is_held_back_is_not_counted(service: Service) -> None:
    """Another holder's breaker opens while it recovers what an earlier holder has run."""
    workflow = guarded(service)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        service.hangs = True
        runs = await triggered(bench, workflow, *names(12))
        await bench.pass_time()
        await consumer.kill()
        service.hangs = False
        await bench.consumer(Stage.NEW)
        await bench.pass_time(20)
        assert service.calls.total() >= 4
        service.works = True
        await bench.pass_time(3 * OPEN_FOR + 2 * LATER)
        for handle in runs.values():
            assert (await handle.get()).run_state is RunState.COMPLETED
    assert max(service.calls.values()) <= RETRY.attempts
