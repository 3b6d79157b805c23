"""Workflows that the tests deploy."""

import asyncio
import os
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel

from workflow_ray import Retry, Run, Status, Workflow


class Parcel(BaseModel):
    deadly: bool = False
    steps: list[str] = []


class ParcelStatus(Status):
    CREATED = 1
    WEIGHED = 2
    PACKED = 3
    SENT = 4


ParcelRun: TypeAlias = Run[Parcel, ParcelStatus]
parcels = Workflow("parcels", Parcel, ParcelStatus)


@parcels.step(ParcelStatus.CREATED, shards=2)
async def weigh(run: ParcelRun) -> Literal[ParcelStatus.WEIGHED]:
    if run.data.deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    run.data.steps.append("weigh")
    return ParcelStatus.WEIGHED


@parcels.step(ParcelStatus.WEIGHED)
async def pack(run: ParcelRun) -> Literal[ParcelStatus.PACKED]:
    run.data.steps.append("pack")
    return ParcelStatus.PACKED


@parcels.step(ParcelStatus.PACKED)
def send(run: ParcelRun) -> Literal[ParcelStatus.SENT]:
    run.data.steps.append("send")
    return ParcelStatus.SENT


class Letter(BaseModel):
    text: str = ""


class LetterStatus(Status):
    WRITTEN = 1
    POSTED = 2


letters = Workflow("letters", Letter, LetterStatus)


@letters.step(LetterStatus.WRITTEN)
async def post(run: Run[Letter, LetterStatus]) -> Literal[LetterStatus.POSTED]:
    return LetterStatus.POSTED


class Call(BaseModel):
    blocks: bool = False


class CallStatus(Status):
    NEW = 1
    MADE = 2


calls = Workflow("calls", Call, CallStatus)


@calls.step(CallStatus.NEW, retry=Retry(attempts=2, backoff=timedelta(seconds=0.1)))
async def make(run: Run[Call, CallStatus]) -> Literal[CallStatus.MADE]:
    await asyncio.sleep(0.01)
    if run.data.blocks:
        threading.Event().wait()  # a blocking call that never returns
    return CallStatus.MADE


class Job(BaseModel):
    folder: str
    """Each attempt appends the run's foreign id to `journal` in it, and waits until `gate` is
    there.
    """


class JobStatus(Status):
    NEW = 1
    DONE = 2


jobs = Workflow("jobs", Job, JobStatus)


@jobs.step(JobStatus.NEW)
async def work(run: Run[Job, JobStatus]) -> Literal[JobStatus.DONE]:
    folder = Path(run.data.folder)
    with (folder / "journal").open("a") as journal:
        journal.write(f"{run.foreign_id}\n")
    while not (folder / "gate").exists():
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.02)
    return JobStatus.DONE
