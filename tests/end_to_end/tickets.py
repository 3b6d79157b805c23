"""A workflow whose hooks note each call with the run that they get, and a worker that runs it."""

import asyncio
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from pydantic import BaseModel

from tests.end_to_end.serving import serve
from workflow_ray import Retry, Run, Status, Workflow

WORK = 0.3
"""Seconds that a hook takes."""
PATIENT = Retry(attempts=1000, backoff=timedelta(seconds=0.1), factor=1)
JOURNAL: list[Path] = []  # the file, when it is known


class TicketStatus(Status):
    OPEN = 1
    CHECKED = 2
    CLOSED = 3


class Ticket(BaseModel):
    notes: list[str] = []  # what the run was told, in order


class Note(BaseModel):
    text: str


TicketRun: TypeAlias = Run[Ticket, TicketStatus]
tickets = Workflow("tickets", Ticket, TicketStatus)


@tickets.callback(TicketStatus.OPEN)
async def check(run: TicketRun, note: Note) -> Literal[TicketStatus.CHECKED]:
    run.data.notes.append(note.text)
    return TicketStatus.CHECKED


@tickets.callback(TicketStatus.CHECKED)
async def close(run: TicketRun, note: Note) -> Literal[TicketStatus.CLOSED]:
    run.data.notes.append(note.text)
    return TicketStatus.CLOSED


@tickets.on_pause(retry=PATIENT)
async def alarm(run: TicketRun) -> None:
    record("begun", "alarm", run)
    await asyncio.sleep(WORK)
    record("done", "alarm", run)


@tickets.on_pause(retry=PATIENT)
async def report(run: TicketRun) -> None:
    """Tell a system, which may be out of order."""
    record("begun", "report", run)
    await asyncio.sleep(WORK / 3)
    if any(outage(journal).exists() for journal in JOURNAL):
        record("failed", "report", run)
        raise ConnectionError("the system is out of order")
    record("done", "report", run)


@tickets.on_cancel(retry=PATIENT)
def regret(run: TicketRun) -> None:
    record("begun", "regret", run)
    time.sleep(WORK)  # a plain function runs in a thread, which it may block
    record("done", "regret", run)


@tickets.on_complete(retry=PATIENT)
async def thank(run: TicketRun) -> None:
    record("begun", "thank", run)
    await asyncio.sleep(WORK)
    record("done", "thank", run)


def outage(journal: Path) -> Path:
    """The file that is there while `report` fails."""
    return journal.with_name("outage")


class Call(msgspec.Struct, frozen=True):
    """A call of a hook, and the run as the hook got it."""

    hook: str
    foreign_id: str
    version: int
    run_state: str
    status: str
    notes: tuple[str, ...]
    reason: str | None


class Line(msgspec.Struct, frozen=True):
    """A line of the journal."""

    what: str  # begun, failed or done
    pid: int
    call: Call


def record(what: str, hook: str, run: TicketRun) -> None:
    call = Call(
        hook,
        run.foreign_id,
        run.version,
        run.run_state.name,
        run.status.name,
        tuple(run.data.notes),
        run.reason,
    )
    for journal in JOURNAL:
        with journal.open("ab") as file:
            file.write(msgspec.json.encode(Line(what, os.getpid(), call)) + b"\n")


def read_journal(journal: Path) -> list[Line]:
    lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    return [msgspec.json.decode(line, type=Line) for line in lines if line.endswith(b"\n")]


async def main(journal: str, lease: str, *urls: str) -> None:
    JOURNAL.append(Path(journal))
    await serve([tickets], lease, *urls)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
