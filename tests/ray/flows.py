"""Workflows that the tests deploy."""

import asyncio
import os
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel

from workflow_ray import RayOptions, Retry, Run, Status, Workflow


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


class Lift(BaseModel):
    folder: str
    """`go_on` appends the run's foreign id to `journal` in it, and waits until `gate` is there."""


class LiftStatus(Status):
    DOWN = 1
    UP = 2


LiftRun: TypeAlias = Run[Lift, LiftStatus]
lifts = Workflow("lifts", Lift, LiftStatus)


@lifts.callback(LiftStatus.DOWN, timeout=0.5, retry=Retry(attempts=1))
def hang(run: LiftRun, message: str) -> Literal[LiftStatus.UP]:
    threading.Event().wait()  # a blocking call that never returns
    return LiftStatus.UP


@lifts.callback(LiftStatus.DOWN)
async def go_on(run: LiftRun, message: str) -> Literal[LiftStatus.UP]:
    folder = Path(run.data.folder)
    with (folder / "journal").open("a") as journal:
        journal.write(f"{run.foreign_id}\n")
    while not (folder / "gate").exists():
        await asyncio.sleep(0.02)
    return LiftStatus.UP


class Photo(BaseModel):
    score: float = 0.0


class PhotoStatus(Status):
    TAKEN = 1
    SCORED = 2
    SHOWN = 3


PhotoRun: TypeAlias = Run[Photo, PhotoStatus]
photos = Workflow("photos", Photo, PhotoStatus)


@photos.batch_step(PhotoStatus.TAKEN, max_batch=8, ray=RayOptions(resources={"lens": 1}))
def score(runs: list[PhotoRun]) -> list[Literal[PhotoStatus.SCORED] | Exception]:
    for run in runs:
        run.data.score = 0.5
    return [PhotoStatus.SCORED for _ in runs]


@photos.step(PhotoStatus.SCORED, ray=RayOptions(num_cpus=0.5))
async def show(run: PhotoRun) -> Literal[PhotoStatus.SHOWN]:
    return PhotoStatus.SHOWN
