"""A workflow whose runs wait, and a worker that runs it.

`python -m tests.end_to_end.bookings JOURNAL LEASE URL [EVENTS [TIMEOUTS]]` runs it until SIGTERM.
Each function adds a line to the file JOURNAL when it begins and when it is done: what happened, the
function, the foreign id and the process. Functions that get a result of `once` note that too.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias
from uuid import uuid4

from pydantic import BaseModel

from tests.end_to_end.serving import serve
from workflow_ray import Children, Run, Status, Stay, Workflow

LEGS = 4
"""Children of each run that has children."""
HOLD = 0.5
"""Seconds until a timeout is due."""
JOURNAL: list[Path] = []  # the file, when it is known


class At(Status):
    ASKED = 1  # waits for a callback
    HELD = 2  # waits for a timeout
    PLANNED = 3  # starts children
    GUIDED = 4  # waits for each of them
    GROUPED = 5  # starts children
    GATHERING = 6  # waits for the last of them
    BILLED = 7  # keeps the result of a side effect
    OWED = 8  # keeps the result of a side effect that takes long
    BOOKED = 9  # leads to where a timeout is waited for
    DONE = 10


class Booking(BaseModel):
    seconds: float = 0.0  # how long each function takes
    notes: list[str] = []  # what the run was told, in order


class Confirmation(BaseModel):
    text: str


class Leg(Status):
    AHEAD = 1
    TRAVELLED = 2


class Distance(BaseModel):
    number: int


BookingRun: TypeAlias = Run[Booking, At]
bookings = Workflow(
    "bookings",
    Booking,
    At,
    entry=(At.HELD, At.BOOKED, At.PLANNED, At.GROUPED, At.BILLED, At.OWED),
)
legs = Workflow("legs", Distance, Leg)


@legs.step(Leg.AHEAD)
async def travel(run: Run[Distance, Leg]) -> Literal[Leg.TRAVELLED]:
    return Leg.TRAVELLED


@bookings.callback(At.ASKED)
async def confirm(run: BookingRun, message: Confirmation) -> Literal[At.DONE]:
    await work(run, "confirm")
    run.data.notes.append(message.text)
    return At.DONE


@bookings.timeout(At.HELD, after=HOLD)
async def lapse(run: BookingRun) -> Literal[At.DONE]:
    await work(run, "lapse")
    run.data.notes.append("lapsed")
    return At.DONE


@bookings.step(At.BOOKED)
async def hold(run: BookingRun) -> Literal[At.HELD]:
    return At.HELD


@bookings.step(At.PLANNED)
async def plan(run: BookingRun) -> Literal[At.GUIDED]:
    start_legs(run)
    return At.GUIDED


@bookings.child(At.GUIDED, legs)
async def guide(run: BookingRun, leg: Run[Distance, Leg]) -> Literal[At.DONE] | Stay:
    await work(run, "guide")
    run.data.notes.append(str(leg.data.number))
    return At.DONE if len(run.data.notes) == LEGS else Stay()


@bookings.step(At.GROUPED)
async def group(run: BookingRun) -> Literal[At.GATHERING]:
    start_legs(run)
    return At.GATHERING


@bookings.children(At.GATHERING, legs)
async def gather(run: BookingRun, children: Children[Distance, Leg]) -> Literal[At.DONE]:
    await work(run, "gather")
    run.data.notes += [str(leg.data.number) async for leg in children]
    assert (children.started, children.completed, children.cancelled) == (LEGS, LEGS, 0)
    return At.DONE


@bookings.step(At.BILLED)
async def bill(run: BookingRun) -> Literal[At.DONE]:
    await keep(run, "bill", await run.once("charge", charge, run))
    await work(run, "bill")
    return At.DONE


@bookings.step(At.OWED)
async def settle(run: BookingRun) -> Literal[At.DONE]:
    await keep(run, "settle", await run.once("charge", charge_slowly, run))
    return At.DONE


async def charge(run: BookingRun) -> str:
    """A side effect, with another result each time."""
    note("charged", "bill", run.foreign_id)
    return uuid4().hex


async def charge_slowly(run: BookingRun) -> str:
    await work(run, "settle")
    return uuid4().hex


async def keep(run: BookingRun, function: str, receipt: str) -> None:
    note(receipt, function, run.foreign_id)
    run.data.notes.append(receipt)


def start_legs(run: BookingRun) -> None:
    for number in range(LEGS):
        run.start(legs, f"{run.foreign_id}-{number}", Distance(number=number))


async def work(run: BookingRun, function: str) -> None:
    note("begun", function, run.foreign_id)
    await asyncio.sleep(run.data.seconds)
    note("done", function, run.foreign_id)


class Line(NamedTuple):
    """A line of the journal."""

    what: str  # begun, done, charged, or a receipt
    function: str
    foreign_id: str
    pid: int


def note(what: str, function: str, foreign_id: str) -> None:
    for journal in JOURNAL:
        with journal.open("a") as file:
            file.write(f"{what} {function} {foreign_id} {os.getpid()}\n")


def read_journal(journal: Path) -> list[Line]:
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [
        Line(what, function, foreign_id, int(pid))
        for what, function, foreign_id, pid in map(str.split, lines)
    ]


async def main(
    journal: str, lease: str, url: str, events: str | None = None, timeouts: str | None = None
) -> None:
    JOURNAL.append(Path(journal))
    await serve([bookings, legs], lease, url, events, timeouts)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
