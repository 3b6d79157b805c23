"""The workflow that the benchmarks run.

Its three steps do almost nothing, so that the benchmarks measure the engine.
"""

import asyncio
from collections.abc import Iterator
from typing import Literal, TypeAlias

from pydantic import BaseModel

from workflow_ray import Client, Handle, Run, RunState, Status, Trigger, Workflow

TRANSITIONS = 3
"""Steps per run."""
CHECKED_AT_ONCE = 200
"""Histories that are read concurrently."""
POLL = 0.25
"""Seconds between two counts of the finished runs."""


class JobStatus(Status):
    QUEUED = 1
    PREPARED = 2
    WORKED = 3
    DONE = 4


class Job(BaseModel):
    number: int
    steps: int = 0
    note: str = "x" * 100
    fails: bool = False


JobRun: TypeAlias = Run[Job, JobStatus]
jobs = Workflow("jobs", Job, JobStatus)


@jobs.step(JobStatus.QUEUED)
async def prepare(run: JobRun) -> Literal[JobStatus.PREPARED]:
    run.data.steps += 1
    return JobStatus.PREPARED


@jobs.step(JobStatus.PREPARED)
async def work(run: JobRun) -> Literal[JobStatus.WORKED]:
    if run.data.fails:
        raise RuntimeError("this run always fails")
    run.data.steps += 1
    return JobStatus.WORKED


@jobs.step(JobStatus.WORKED)
async def finish(run: JobRun) -> Literal[JobStatus.DONE]:
    run.data.steps += 1
    return JobStatus.DONE


async def feed(
    client: Client[Job, JobStatus], name: str, runs: int, *, fails: int | None = None
) -> list[str]:
    """Trigger runs and return their run ids.

    Args:
        client: Triggers them.
        name: Their foreign ids begin with it.
        runs: How many.
        fails: The number of a run whose steps fail, if one should.
    """
    triggers: Iterator[Trigger[Job, JobStatus]] = (
        Trigger(f"{name}-{number}", Job(number=number, fails=number == fails))
        for number in range(runs)
    )
    return [handle.run_id for handle, _ in await client.trigger_many(triggers)]


async def wait_for_ends(client: Client[Job, JobStatus], runs: int) -> None:
    """Wait until this many runs are finished.

    It counts seldom: counting reads every run and so slows down what is measured.
    """
    while await _finished(client) < runs:  # noqa: ASYNC110  a wait for each run would cost more than what is measured
        await asyncio.sleep(POLL)


async def times(client: Client[Job, JobStatus], name: str) -> tuple[float, list[float]]:
    """Return when the last finished run has ended, and how long each took.

    Returns:
        Seconds since 1970, and the milliseconds of each run.
    """
    runs = [
        run
        async for run in client.runs(status=JobStatus.DONE)
        if run.foreign_id.startswith(f"{name}-")
    ]
    took = [(run.updated_at - run.created_at).total_seconds() * 1000 for run in runs]
    return max(run.updated_at.timestamp() for run in runs), took


async def check(client: Client[Job, JobStatus], run_ids: list[str]) -> None:
    """Check that each run ended as it should, with each version exactly once in its history.

    Raises:
        SystemExit: One did not.
    """
    for start in range(0, len(run_ids), CHECKED_AT_ONCE):
        handles = [client.handle(run_id) for run_id in run_ids[start : start + CHECKED_AT_ONCE]]
        faults = await asyncio.gather(*map(_fault, handles))
        if found := [fault for fault in faults if fault]:
            raise SystemExit(f"{len(found)} runs ended wrong; the first: {found[0]}")


async def _finished(client: Client[Job, JobStatus]) -> int:
    return sum(
        number for (_, run_state), number in (await client.counts()).items() if run_state.finished
    )


async def _fault(handle: Handle[Job, JobStatus]) -> str | None:
    run, history = await handle.get(), await handle.history()
    visited = [(entry.version, entry.status) for entry in history]
    if visited != list(enumerate(JobStatus, start=1)):
        return f"run {run.run_id} went through {visited}"
    if run.run_state is not RunState.COMPLETED or run.data.steps != TRANSITIONS:
        return f"run {run.run_id} is {run.run_state.name} after {run.data.steps} steps"
    return None
