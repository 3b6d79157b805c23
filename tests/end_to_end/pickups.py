"""A workflow whose steps hang or fail while a file is there, and a worker that runs it."""

import asyncio
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from pydantic import BaseModel

from tests.end_to_end.serving import serve
from workflow_ray import Pause, Retry, Run, Status, Workflow

LIMIT = 0.5
FIRST = 1.0
"""Seconds from a pause by an error to the first retry."""
HANGING = 600.0
JOURNAL: list[Path] = []  # the file, when it is known


class At(Status):
    CALLED = 1
    ASKED = 2
    BOOKED = 3
    HALTED = 4
    DONE = 5


class Pickup(BaseModel):
    pass


PickupRun: TypeAlias = Run[Pickup, At]
pickups = Workflow("pickups", Pickup, At, entry=tuple(At), retry_paused=FIRST)
PATIENT = Retry(attempts=1000, backoff=timedelta(seconds=0.05), factor=1)


@pickups.step(At.CALLED, timeout=LIMIT, retry=PATIENT)
def call(run: PickupRun) -> Literal[At.DONE]:
    note("call", run)
    if is_out_of_order():
        time.sleep(HANGING)  # it exceeds its time limit, in a thread that it may block
    return At.DONE


@pickups.step(At.ASKED, timeout=LIMIT, retry=PATIENT)
async def ask(run: PickupRun) -> Literal[At.DONE]:
    note("ask", run)
    if is_out_of_order():
        await asyncio.sleep(HANGING)
    return At.DONE


@pickups.step(At.BOOKED, retry=Retry(attempts=1))
async def book(run: PickupRun) -> Literal[At.DONE]:
    note("book", run)
    if is_out_of_order():
        raise OSError("the system is out of order")
    return At.DONE


@pickups.step(At.HALTED)
async def halt(run: PickupRun) -> Literal[At.DONE] | Pause:
    note("halt", run)
    return Pause("a person must look at this one")


def outage(journal: Path) -> Path:
    """The file that is there while the steps hang or fail."""
    return journal.with_name("outage")


def is_out_of_order() -> bool:
    return any(outage(journal).exists() for journal in JOURNAL)


class Line(NamedTuple):
    function: str
    foreign_id: str
    pid: int


def note(function: str, run: PickupRun) -> None:
    for journal in JOURNAL:
        with journal.open("a") as file:
            file.write(f"{function} {run.foreign_id} {os.getpid()}\n")


def read_journal(journal: Path) -> list[Line]:
    lines = journal.read_text().splitlines(keepends=True) if journal.exists() else []
    words = [line.split() for line in lines if line.endswith("\n")]
    return [Line(function, foreign_id, int(pid)) for function, foreign_id, pid in words]


async def main(journal: str, lease: str, *urls: str) -> None:
    JOURNAL.append(Path(journal))
    await serve([pickups], lease, *urls)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
