"""The workflow that the benchmarks run: three steps that do next to nothing, so that the engine is what is measured."""

import asyncio
from typing import Literal, TypeAlias

from pydantic import BaseModel

from workflow_ray import Client, Handle, Run, RunState, Status, Workflow

TRANSITIONS = 3
"""Steps of each run."""
CHECKED_AT_ONCE = 200
"""Histories read side by side."""


class JobStatus(Status):
    QUEUED = 1
    PREPARED = 2
    WORKED = 3
    DONE = 4


class Job(BaseModel):
    number: int
    steps: int = 0
    note: str = "x" * 100


JobRun: TypeAlias = Run[Job, JobStatus]
jobs = Workflow("jobs", Job, JobStatus)


@jobs.step(JobStatus.QUEUED)
async def prepare(run: JobRun) -> Literal[JobStatus.PREPARED]:
    run.data.steps += 1
    return JobStatus.PREPARED


@jobs.step(JobStatus.PREPARED)
async def work(run: JobRun) -> Literal[JobStatus.WORKED]:
    run.data.steps += 1
    return JobStatus.WORKED


@jobs.step(JobStatus.WORKED)
async def finish(run: JobRun) -> Literal[JobStatus.DONE]:
    run.data.steps += 1
    return JobStatus.DONE


async def check(client: Client[Job, JobStatus], run_ids: list[str]) -> None:
    """Raise SystemExit unless each run ended as it should, with each version exactly once in its history."""
    for start in range(0, len(run_ids), CHECKED_AT_ONCE):
        handles = [client.handle(run_id) for run_id in run_ids[start : start + CHECKED_AT_ONCE]]
        faults = await asyncio.gather(*map(_fault, handles))
        if found := [fault for fault in faults if fault]:
            raise SystemExit(f"{len(found)} runs ended wrong; the first: {found[0]}")


async def _fault(handle: Handle[Job, JobStatus]) -> str | None:
    run, history = await handle.get(), await handle.history()
    visited = [(entry.version, entry.status) for entry in history]
    if visited != list(enumerate(JobStatus, start=1)):
        return f"run {run.run_id} went through {visited}"
    if run.run_state is not RunState.COMPLETED or run.data.steps != TRANSITIONS:
        return f"run {run.run_id} is {run.run_state.name} after {run.data.steps} steps"
    return None
