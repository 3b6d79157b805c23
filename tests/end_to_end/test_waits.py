"""What runs wait for happens once, whatever becomes of the process in the middle of the work.

The work is a function of the run: for a callback, a timeout, the end of a child or of the last one,
or a step that stores the result of a side effect. Its process is killed, or it is stopped and goes
on after another worker has taken the work over.
"""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.bookings import (
    LEGS,
    At,
    Booking,
    Confirmation,
    Distance,
    Leg,
    Line,
    bookings,
    confirm,
    legs,
    read_journal,
)
from tests.end_to_end.histories import check_history
from tests.end_to_end.workers import WorkerProcess, until, worker_of, workers
from workflow_ray import Client, Handle, Run, RunState, Workflow, connect
from workflow_ray.records import Cause

MODULE = "tests.end_to_end.bookings"
LEASE = 2.0
PATIENCE = timedelta(seconds=60)
RUNS = 5
"""Runs that are in the middle of their work together."""
WORK = 0.4
"""Seconds that a function takes."""
COUNTED = (Cause.DOUBT, Cause.GIVEN_BACK)
"""Causes of a version that is written where a process died, or seems to have."""
pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Feature:
    """Something that runs wait for."""

    name: str
    start: At
    function: str  # in the middle of which the fault happens
    causes: Mapping[Cause, int]  # how many versions of a run each of them makes
    is_called: bool = False  # whether a caller sends a message for it
    has_legs: bool = False
    keeps_receipt: bool = False  # of a side effect

    def __str__(self) -> str:
        return self.name


FEATURES = [
    Feature("callback", At.ASKED, "confirm", {Cause.CALLBACK: 1}, is_called=True),
    Feature("timeout", At.BOOKED, "lapse", {Cause.STEP: 1, Cause.TIMEOUT: 1}),
    Feature("timeout of a trigger", At.HELD, "lapse", {Cause.TIMEOUT: 1}),
    Feature("child", At.PLANNED, "guide", {Cause.STEP: 1, Cause.CHILD: LEGS}, has_legs=True),
    Feature("children", At.GROUPED, "gather", {Cause.STEP: 1, Cause.CHILDREN: 1}, has_legs=True),
    Feature("once, stored", At.BILLED, "bill", {Cause.STEP: 1}, keeps_receipt=True),
    Feature("once, called", At.OWED, "settle", {Cause.STEP: 1}, keeps_receipt=True),
]


@dataclass
class Load:
    """Runs of one feature, and what their functions note."""

    feature: Feature
    journal: Path
    client: Client[Booking, At]
    workers: Sequence[WorkerProcess]
    counts_attempts: bool = False  # whether attempts may be counted, as after several crashes
    handles: list[Handle[Booking, At]] = field(default_factory=list[Handle[Booking, At]])
    calls: "list[asyncio.Task[Run[Booking, At]]]" = field(
        default_factory=list["asyncio.Task[Run[Booking, At]]"]
    )

    async def begin(self) -> None:
        """Trigger some runs, and send them their messages."""
        for _ in range(RUNS):
            foreign_id = f"{self.feature.start.name}-{len(self.handles)}"
            self.handles.append(
                await self.client.trigger(
                    foreign_id, Booking(seconds=WORK), start_at=self.feature.start
                )
            )
            if self.feature.is_called:
                self.calls.append(asyncio.create_task(self.call(foreign_id)))

    async def call(self, foreign_id: str) -> Run[Booking, At]:
        return await self.client.callback(
            confirm,
            foreign_id,
            Confirmation(text=foreign_id),
            idempotency_key=f"confirm-{foreign_id}",
            timeout=PATIENCE,
        )

    def lines(self, what: str | None = None) -> list[Line]:
        """What the function has noted."""
        return [
            line
            for line in read_journal(self.journal)
            if line.function == self.feature.function and what in (None, line.what)
        ]

    async def in_the_middle(self) -> int:
        """Wait until the function has begun. Returns the id of its process."""
        return (await until(self.under_way))[0].pid

    def under_way(self) -> list[Line]:
        """What has begun and is not done."""
        lines = self.lines()
        begun = Counter(line for line in lines if line.what == "begun")
        done = Counter(line._replace(what="begun") for line in lines if line.what == "done")
        return list((begun - done).elements())

    async def end(self) -> None:
        """Wait for the end of all runs, and for the answers to their callers."""
        for handle in self.handles:
            run = await handle.wait(timeout=PATIENCE)
            assert run.run_state is RunState.COMPLETED
        await asyncio.gather(*self.calls)

    async def check(self) -> None:
        """Check each run, and that it was told everything once."""
        expected = {Cause.TRIGGER: 1, **self.feature.causes}
        for handle in self.handles:
            run = await handle.get()
            assert await self.causes(bookings, self.client, run) == expected
            assert sorted(run.data.notes) == self.notes_of(run)
        for call in self.calls:
            answer = call.result()
            assert (answer.status, answer.version) == (At.DONE, 2)
            again = await self.call(answer.foreign_id)  # with the same key
            assert (again.run_id, again.version) == (answer.run_id, answer.version)

    async def causes(
        self, workflow: Workflow[Any, Any], client: Client[Any, Any], run: Run[Any, Any]
    ) -> dict[Cause, int]:
        """Check the history of a run. Returns how many versions each cause made."""
        causes = await check_history(workflow, client, run)
        return {
            cause: count
            for cause, count in causes.items()
            if not (self.counts_attempts and cause in COUNTED)
        }

    def notes_of(self, run: Run[Booking, At]) -> list[str]:
        """What the run should have been told."""
        if self.feature.has_legs:
            return [str(number) for number in range(LEGS)]
        if self.feature.keeps_receipt:
            lines = [line for line in self.lines() if line.foreign_id == run.foreign_id]
            # a process that was frozen just before the effect makes it when it continues
            frozen = set[int]().union(*(worker.frozen for worker in self.workers))
            noted = [
                line.what for line in lines if line.what != "charged" or line.pid not in frozen
            ]
            assert "charged" not in noted[noted.index("begun") :], "the effect was not repeated"
            return list(set(noted) - {"begun", "done", "charged"})
        return [run.foreign_id if self.feature.is_called else "lapsed"]

    async def check_legs(self, client: Client[Distance, Leg]) -> None:
        """Check that each child exists once and has come to its end."""
        prefix = f"{self.feature.start.name}-"
        runs = [run async for run in client.runs() if run.foreign_id.startswith(prefix)]
        assert {run.foreign_id for run in runs} == {
            f"{prefix}{parent}-{number}"
            for parent in range(len(self.handles))
            for number in range(LEGS)
            if self.feature.has_legs
        }
        for run in runs:
            causes = await self.causes(legs, client, run)
            assert causes == {Cause.TRIGGER: 1, Cause.STEP: 1}


@asynccontextmanager
async def load(
    feature: Feature,
    journal: Path,
    url: str,
    some: Sequence[WorkerProcess],
    *,
    counts_attempts: bool = False,
) -> AsyncGenerator[Load]:
    """Connect to a store, and check at the end what became of the runs."""
    async with (
        connect(bookings, records=url) as client,
        connect(legs, records=url) as legs_client,
    ):
        made = Load(feature, journal, client, some, counts_attempts)
        yield made
        await made.end()
        await made.check()
        await made.check_legs(legs_client)


@pytest.fixture(params=FEATURES, ids=str)
def feature(request: pytest.FixtureRequest) -> Feature:
    found: Feature = request.param
    return found


async def test_on_sqlite_it_happens_once_though_its_process_is_killed_in_the_middle(
    feature: Feature, tmp_path: Path
) -> None:
    url, journal = f"sqlite:///{tmp_path}/bookings.db", tmp_path / "journal"
    async with (
        workers(1, journal, LEASE, url, module=MODULE) as (worker,),
        load(feature, journal, url, [worker]) as runs,
    ):
        await runs.begin()
        await runs.in_the_middle()
        await worker.kill()
        assert runs.under_way()
        await worker.start()


async def test_on_servers_it_happens_once_though_its_worker_is_killed_in_the_middle(
    feature: Feature, urls: list[str], tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    async with (
        workers(2, journal, LEASE, *urls, module=MODULE) as pair,
        load(feature, journal, urls[0], pair) as runs,
    ):
        await runs.begin()
        await worker_of(await runs.in_the_middle(), pair).kill()
        assert runs.under_way()


async def test_on_servers_it_happens_once_though_its_stopped_worker_goes_on_after_another_did_it(
    feature: Feature, urls: list[str], tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    async with (
        workers(2, journal, LEASE, *urls, module=MODULE) as pair,
        load(feature, journal, urls[0], pair) as runs,
    ):
        await runs.begin()
        stopped = worker_of(await runs.in_the_middle(), pair)
        stopped.freeze()
        assert runs.under_way()
        await runs.end()
        stopped.send(signal.SIGCONT)
        await runs.begin()
        await runs.end()
        await stopped.terminate()


@pytest.mark.timeout(900)
async def test_on_servers_it_happens_once_whatever_happens_to_its_workers(
    urls: list[str], tmp_path: Path, rng: random.Random, thorough: bool
) -> None:
    journal = tmp_path / "journal"
    async with (
        workers(2, journal, LEASE, *urls, module=MODULE) as pair,
        AsyncExitStack() as stack,
    ):
        loads = [
            await stack.enter_async_context(
                load(each, journal, urls[0], pair, counts_attempts=True)
            )
            for each in FEATURES
        ]
        for fault in rng.choices(FAULTS, k=12 if thorough else 4):
            await asyncio.gather(*(each.begin() for each in loads))
            await asyncio.sleep(rng.uniform(0, 2 * WORK))
            await fault(rng.choice(pair))


async def be_killed(worker: WorkerProcess) -> None:
    await worker.kill()
    await worker.start()


async def be_restarted(worker: WorkerProcess) -> None:
    await worker.terminate()
    await worker.start()


async def be_stopped(worker: WorkerProcess) -> None:
    worker.freeze()
    await asyncio.sleep(1.5 * LEASE)
    worker.send(signal.SIGCONT)


FAULTS = (be_killed, be_restarted, be_stopped)
