"""Runs are moved, cancelled and forked while their steps run, and their worker is killed."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.end_to_end import hauls
from tests.end_to_end.gate import held
from tests.end_to_end.hauls import Haul, HaulStatus
from tests.end_to_end.workers import WorkerProcess, until, workers
from workflow_ray import Client, Handle, RunState, connect
from workflow_ray.records import Cause

LEASE = 2.0
PATIENCE = timedelta(seconds=60)
MANY = 600
"""Children, more than one page of them."""
RECOVERY = (Cause.DOUBT, Cause.GIVEN_BACK)
"""Causes of versions that only count an attempt."""
T = TypeVar("T")
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/hauls.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


@dataclass
class Yard:
    """A worker, and a client of what it runs."""

    worker: WorkerProcess
    journal: Path
    client: Client[Haul, HaulStatus]

    async def under_way(self, foreign_id: str = "one") -> Handle[Haul, HaulStatus]:
        """Start a run, and return when its step has begun, which ends when `let_go` is called."""
        held(self.journal).touch()
        handle = await self.client.trigger(foreign_id, Haul())
        await self.noted("load", foreign_id)
        return handle

    async def noted(self, what: str, foreign_id: str = "one", times: int = 1) -> None:
        await until(lambda: hauls.noted(self.journal, what, foreign_id) == times)

    def let_go(self) -> None:
        held(self.journal).unlink()

    async def restart(self) -> None:
        await self.worker.kill()
        await self.worker.start()

    async def die_during(self, call: Coroutine[Any, Any, T]) -> T:
        """Kill the worker, and start it again, while a call is under way."""
        task = asyncio.create_task(call)
        await asyncio.sleep(0)
        await self.restart()
        return await task


@asynccontextmanager
async def yard(url: str, folder: Path) -> AsyncGenerator[Yard]:
    journal = folder / "journal"
    async with (
        workers(1, journal, LEASE, url, module="tests.end_to_end.hauls") as (worker,),
        connect(hauls.hauls, records=url) as client,
    ):
        yield Yard(worker, journal, client)


async def causes(handle: Handle[Haul, HaulStatus]) -> list[Cause]:
    return [entry.cause for entry in await handle.history()]


async def test_a_run_that_is_moved_while_its_worker_dies_goes_on_from_there(
    url: str, tmp_path: Path
) -> None:
    async with yard(url, tmp_path) as here:
        handle = await here.under_way()
        await here.die_during(handle.move(HaulStatus.DRIVING, "it was loaded by hand"))
        here.let_go()
        run = await handle.wait(timeout=PATIENCE)
        assert (run.status, run.data.loaded) == (HaulStatus.ARRIVED, False)
        found = [each for each in await causes(handle) if each not in RECOVERY]
        assert found == [Cause.TRIGGER, Cause.MOVED, Cause.STEP]


async def test_the_worker_of_a_moved_run_dies_in_the_step_of_the_new_status(
    url: str, tmp_path: Path
) -> None:
    async with yard(url, tmp_path) as here:
        handle = await here.under_way()
        await handle.move(HaulStatus.DRIVING, "it was loaded by hand")
        await here.noted("drive")
        await here.noted("overtaken")  # the step of the status that the run has left
        await here.restart()
        await here.noted("drive", times=2)
        here.let_go()
        assert (await handle.wait(timeout=PATIENCE)).status is HaulStatus.ARRIVED
        assert hauls.noted(here.journal, "load", "one") == 1
        found = [each for each in await causes(handle) if each not in RECOVERY]
        assert found == [Cause.TRIGGER, Cause.MOVED, Cause.STEP]


async def test_a_step_learns_that_its_run_was_cancelled_in_a_task_and_in_a_thread(
    url: str, tmp_path: Path
) -> None:
    async with yard(url, tmp_path) as here:
        in_a_task = await here.under_way()
        in_a_thread = await here.client.trigger("two", Haul(), start_at=HaulStatus.DRIVING)
        await here.noted("drive", "two")
        for handle, name in ((in_a_task, "one"), (in_a_thread, "two")):
            await handle.cancel("not wanted")
            await here.noted("overtaken", name)
            assert await causes(handle) == [Cause.TRIGGER, Cause.CANCEL]


async def test_a_run_that_is_cancelled_while_its_worker_dies_stays_cancelled(
    url: str, tmp_path: Path
) -> None:
    async with yard(url, tmp_path) as here:
        handle = await here.under_way()
        await here.die_during(handle.cancel("not wanted"))
        here.let_go()
        other = await here.client.trigger("one", Haul())
        assert (await other.wait(timeout=PATIENCE)).status is HaulStatus.ARRIVED
        found = [each for each in await causes(handle) if each not in RECOVERY]
        assert found == [Cause.TRIGGER, Cause.CANCEL]


@pytest.mark.parametrize("cascade", [True, False])
async def test_a_cascade_that_a_crash_cuts_off_is_finished_as_the_caller_chose(
    url: str, tmp_path: Path, cascade: bool
) -> None:
    """The children were started without a cascade, and have children themselves."""
    async with yard(url, tmp_path) as here:
        haul = Haul(trailers=MANY, depth=2)
        handle = await here.client.trigger("r", haul, start_at=HaulStatus.TOWING)
        await handle.wait_for(HaulStatus.WAITING)
        first, *_ = [child async for child in handle.children()]
        run_id = first.run_id
        await here.client.handle(run_id).wait_for(HaulStatus.WAITING)
        await handle.cancel("not wanted", cascade=cascade)
        if cascade:
            await here.client.handle(run_id).wait(timeout=PATIENCE)
        await here.restart()
        states = {run.run_state async for run in here.client.runs() if run.run_id != handle.run_id}
        if not cascade:
            assert RunState.CANCELLED not in states
            return
        handles = [here.client.handle(run.run_id) async for run in here.client.runs()]
        assert len(handles) > 1 + MANY, "some children had children"
        ended = await asyncio.gather(*(each.wait(timeout=PATIENCE) for each in handles))
        assert {run.run_state for run in ended} == {RunState.CANCELLED}


async def test_a_fork_of_a_run_whose_worker_dies_ends_as_the_run_does(
    url: str, tmp_path: Path
) -> None:
    async with yard(url, tmp_path) as here:
        handle = await here.under_way()
        fork = await here.die_during(handle.fork(1, foreign_id="two", idempotency_key="k"))
        await here.noted("load", "two")
        again = await here.die_during(handle.fork(1, foreign_id="two", idempotency_key="k"))
        assert again.run_id == fork.run_id
        here.let_go()
        for each in (handle, fork):
            assert (await each.wait(timeout=PATIENCE)).data.loaded
        found = [each for each in await causes(fork) if each not in RECOVERY]
        assert found == [Cause.FORKED, Cause.STEP, Cause.STEP]
        driving = next(
            entry for entry in await handle.history() if entry.status is HaulStatus.DRIVING
        )
        late = await handle.fork(driving.version, foreign_id="three")
        assert (await late.wait(timeout=PATIENCE)).data.loaded
        assert await causes(late) == [Cause.FORKED, Cause.STEP]
