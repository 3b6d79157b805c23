"""Attempts that take too long, and the retries of paused runs, whatever becomes of the process."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.end_to_end.histories import check_history
from tests.end_to_end.pickups import FIRST, LIMIT, At, Pickup, outage, pickups, read_journal
from tests.end_to_end.workers import WorkerProcess, until, worker_of, workers
from workflow_ray import Client, Handle, RunState, connect
from workflow_ray.records import Cause, Role, paused_retry_group

MODULE = "tests.end_to_end.pickups"
LEASE = 2.0
PATIENCE = timedelta(seconds=90)
RUNS = 8
ROLE = Role(paused_retry_group("pickups")).name
TOO_LONG = f"it took longer than {LIMIT:g} s (timeout={LIMIT:g})"
pytestmark = pytest.mark.timeout(240)


@dataclass
class Depot:
    """Workers whose system is out of order, and runs that need it."""

    workers: list[WorkerProcess]
    journal: Path
    client: Client[Pickup, At]

    async def trigger(self, start: At, count: int = RUNS) -> list[Handle[Pickup, At]]:
        names = [f"{start.name}-{number}" for number in range(count)]
        return [await self.client.trigger(name, Pickup(), start_at=start) for name in names]

    def calls(self, function: str) -> Counter[str]:
        """How often a function was called, by run."""
        lines = read_journal(self.journal)
        return Counter(line.foreign_id for line in lines if line.function == function)

    async def called(self, function: str, times: int) -> None:
        """Wait until the function was called so often for each run."""
        await until(lambda: _each(self.calls(function), times))

    async def kill_caller(self, function: str) -> None:
        """Kill the worker that has called a function last, and start another in its place."""
        lines = [line for line in read_journal(self.journal) if line.function == function]
        worker = worker_of(lines[-1].pid, self.workers)
        await worker.kill()
        await worker.start()

    def mend(self) -> None:
        outage(self.journal).unlink()


def _each(calls: Counter[str], times: int) -> bool:
    return len(calls) == RUNS and min(calls.values()) >= times


@asynccontextmanager
async def depot(folder: Path, url: str, count: int) -> AsyncGenerator[Depot]:
    journal = folder / "journal"
    outage(journal).touch()
    async with (
        workers(count, journal, LEASE, url, module=MODULE) as some,
        connect(pickups, records=url) as client,
    ):
        yield Depot(some, journal, client)


@pytest.fixture(params=["sqlite", "postgresql"])
async def out_of_order(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Depot]:
    """One worker on SQLite, or two on PostgreSQL."""
    if request.param == "sqlite":
        url, count = f"sqlite:///{tmp_path}/pickups.db", 1
    else:
        url, count = request.getfixturevalue("postgres_url"), 2
    async with depot(tmp_path, url, count) as made:
        yield made


@pytest.mark.parametrize(("start", "function"), [(At.CALLED, "call"), (At.ASKED, "ask")])
async def test_an_attempt_that_takes_too_long_is_made_again_though_its_process_is_killed(
    out_of_order: Depot, start: At, function: str
) -> None:
    handles = await out_of_order.trigger(start)
    await out_of_order.called(function, 2)  # the first attempts were abandoned, or cancelled
    await out_of_order.kill_caller(function)
    killed_at = out_of_order.calls(function)
    await until(lambda: _each(out_of_order.calls(function) - killed_at, 1))
    out_of_order.mend()
    for handle in handles:
        run = await handle.wait(timeout=PATIENCE)
        causes = await check_history(pickups, out_of_order.client, run)
        assert causes.keys() <= {Cause.TRIGGER, Cause.RETRY, Cause.STEP, Cause.DOUBT}
        assert (causes[Cause.TRIGGER], causes[Cause.STEP]) == (1, 1)
        assert causes[Cause.RETRY] >= 1
        reasons = [e.reason for e in await handle.history() if e.cause is Cause.RETRY]
        assert set(reasons) == {TOO_LONG}


async def test_runs_that_an_error_paused_are_retried_though_the_role_is_killed(
    out_of_order: Depot,
) -> None:
    (halted,) = await out_of_order.trigger(At.HALTED, 1)
    handles = await out_of_order.trigger(At.BOOKED)
    for times in (1, 2):
        await out_of_order.called("book", times)
        await until(_more(out_of_order, times * RUNS))  # in the middle of the next retries
        await out_of_order.kill_caller("book")
    for handle in handles:
        await retried(handle, 2)
    out_of_order.mend()
    for handle in handles:
        run = await handle.wait(timeout=PATIENCE, through_errors=True)
        assert run.run_state is RunState.COMPLETED
        causes = await check_history(pickups, out_of_order.client, run)
        assert causes.keys() <= {
            *(Cause.TRIGGER, Cause.FAILED, Cause.RETRIED, Cause.STEP),
            *(Cause.DOUBT, Cause.GIVEN_BACK),
        }
        await check_delays(handle)
    assert [entry.cause for entry in await halted.history()] == [Cause.TRIGGER, Cause.PAUSE]
    assert out_of_order.calls("halt") == {"HALTED-0": 1}


def _more(depot: Depot, than: int) -> Callable[[], bool]:
    return lambda: depot.calls("book").total() > than


async def retried(handle: Handle[Pickup, At], times: int) -> None:
    """Wait until the run was retried so often."""
    async for entry in handle.follow():
        times -= entry.cause is Cause.RETRIED
        if not times:
            return


async def check_delays(handle: Handle[Pickup, At]) -> None:
    """Check that each retry follows a pause by an error, and that the delays double."""
    history = await handle.history()
    retries = [
        (before, after) for before, after in pairwise(history) if after.cause is Cause.RETRIED
    ]
    assert len(retries) >= 2
    for number, (before, after) in enumerate(retries):
        assert (before.cause, before.run_state, after.by) == (
            Cause.FAILED,
            RunState.PAUSED,
            ROLE,
        )
        assert (after.at - before.at).total_seconds() >= FIRST * 2**number
        assert after.reason == f"an error had paused it; retry {number + 1} in a row"
