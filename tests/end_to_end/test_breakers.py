"""Runs that a circuit breaker holds back lose nothing when the worker is killed meanwhile.

On SQLite the worker is started again. On PostgreSQL another one takes over.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from tests.end_to_end.charges import ATTEMPTS, At, Charge, charges, read_calls
from tests.end_to_end.histories import check_history
from tests.end_to_end.pickups import outage
from tests.end_to_end.workers import POLL, WorkerProcess, until, worker_of, workers
from workflow_ray import Client, Handle, RunState, Trigger, connect
from workflow_ray.records import Cause

MODULE = "tests.end_to_end.charges"
LEASE = 2.0
PATIENCE = timedelta(seconds=90)
RUNS = 30
pytestmark = pytest.mark.timeout(240)


@dataclass
class Bank:
    """Workers whose bank does not answer."""

    workers: list[WorkerProcess]
    journal: Path
    client: Client[Charge, At]

    async def held_back(self) -> int:
        """The number of runs that a breaker holds back now."""
        return len([run async for run in self.client.runs() if is_held(run.reason)])

    async def until_held(self, count: int) -> None:
        async with asyncio.timeout(60):
            while await self.held_back() < count:
                await asyncio.sleep(POLL)

    async def kill_caller(self) -> None:
        """Kill the worker that has called a function last, and start another in its place."""
        worker = await until(self.caller)
        await worker.kill()
        await worker.start()

    def caller(self) -> WorkerProcess | None:
        """The worker that has called a function last. None: that one was killed."""
        calls = read_calls(self.journal)
        running = {worker.process.pid for worker in self.workers if worker.process}
        return worker_of(calls[-1][0], self.workers) if calls and calls[-1][0] in running else None


def is_held(reason: str | None) -> bool:
    return "circuit breaker" in (reason or "")


@asynccontextmanager
async def bank(folder: Path, url: str, count: int) -> AsyncGenerator[Bank]:
    journal = folder / "journal"
    outage(journal).touch()
    async with (
        workers(count, journal, LEASE, url, module=MODULE) as some,
        connect(charges, records=url) as client,
    ):
        yield Bank(some, journal, client)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
async def broken(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Bank]:
    """One worker on SQLite, or two on PostgreSQL."""
    if request.param == "sqlite":
        url, count = f"sqlite:///{tmp_path}/charges.db", 1
    else:
        url, count = str(request.getfixturevalue("postgres_url")), 2
    async with bank(tmp_path, url, count) as made:
        yield made


@pytest.mark.parametrize("start", [At.CHARGED_ALONE, At.CHARGED_IN_BATCHES])
async def test_every_run_completes_after_the_service_works_again_though_workers_are_killed(
    broken: Bank, start: At
) -> None:
    triggers = [Trigger(f"c{number}", Charge(), start_at=start) for number in range(RUNS)]
    handles = [handle for handle, _ in await broken.client.trigger_many(triggers)]
    for _ in range(2):
        await broken.until_held(RUNS // 2)
        await broken.kill_caller()
    await until(broken.caller)
    await broken.until_held(RUNS // 2)
    outage(broken.journal).unlink()
    for handle in handles:
        run = await handle.wait(timeout=PATIENCE)
        assert (run.status, run.run_state) == (At.PAID, RunState.COMPLETED)
        causes = await check_history(charges, broken.client, run)
        assert causes.keys() <= {
            *(Cause.TRIGGER, Cause.PARKED, Cause.RETRY, Cause.STEP),
            *(Cause.DOUBT, Cause.GIVEN_BACK),
        }
        assert (causes[Cause.TRIGGER], causes[Cause.STEP]) == (1, 1)
    await check_attempts(broken, handles)


async def check_attempts(broken: Bank, handles: list[Handle[Charge, At]]) -> None:
    """Check that no attempt was made or counted beyond the policy, and none while it was open."""
    alone = Counter(names[0] for _, names in read_calls(broken.journal) if len(names) == 1)
    held = 0
    for number, handle in enumerate(handles):
        history = await handle.history()
        for entry in history:
            if entry.cause is Cause.PARKED:
                assert is_held(entry.reason)
                assert entry.error is None
            if entry.cause is Cause.RETRY:
                assert entry.error is not None
                assert entry.error.type == "ConnectionError"
                assert "in note" in (entry.error.trace or "")
        failed = sum(entry.cause is Cause.RETRY for entry in history)
        assert failed < ATTEMPTS
        assert alone[f"c{number}"] <= ATTEMPTS
        held += any(entry.cause is Cause.PARKED for entry in history)
    assert held >= RUNS // 2
