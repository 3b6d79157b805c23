"""A worker process for tests: `python -m tests.end_to_end.chores JOURNAL LEASE URL [EVENTS]`.

It runs the workflow `chores` until SIGTERM, and then stops in an orderly way. Each execution of a
step adds a line to the file JOURNAL: the foreign id, the status, the process and the time. SIGUSR1
sets the time of day of its clock ahead, SIGUSR2 back. Its sweeper reads often.
"""

import asyncio
import os
import signal
import sys
import time
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel

from tests.end_to_end.gate import is_held
from tests.end_to_end.serving import serve
from workflow_ray import Repeat, Run, Status, Workflow
from workflow_ray.ports import SystemClock
from workflow_ray.roles.sweeper import Sweeper
from workflow_ray.runtime import role_processes, runtime

JUMP = timedelta(minutes=10)
SWEEPS, AGE = 1.0, 3.0
"""Seconds between two reads of the sweeper, and the age of the runs that it finds; in production
minutes.
"""
AGAIN = timedelta(seconds=0.5)


class Chore(BaseModel):
    seconds: float = 0.0  # how long each step takes
    blocks: bool = False  # whether it blocks the event loop meanwhile
    fails: bool = False  # whether the first attempt of its first step fails
    repeats: bool = False  # whether its first step repeats once
    waits: bool = False  # whether each step waits while the steps are held up


class ChoreStatus(Status):
    NEW = 1
    BEGUN = 2
    DONE = 3


chores = Workflow("chores", Chore, ChoreStatus)
JOURNAL: list[Path] = []  # the file, when it is known


@chores.step(ChoreStatus.NEW)
async def begin(run: Run[Chore, ChoreStatus]) -> Literal[ChoreStatus.BEGUN] | Repeat:
    await execute(run)
    if run.data.fails and run.attempt == 0:
        raise ValueError("the first attempt fails")
    if run.data.repeats:
        run.data.repeats = False
        return Repeat(AGAIN)
    return ChoreStatus.BEGUN


@chores.step(ChoreStatus.BEGUN)
async def end(run: Run[Chore, ChoreStatus]) -> Literal[ChoreStatus.DONE]:
    await execute(run)
    return ChoreStatus.DONE


async def execute(run: Run[Chore, ChoreStatus]) -> None:
    for journal in JOURNAL:
        with journal.open("a") as file:
            file.write(f"{run.foreign_id} {run.status.name} {os.getpid()} {time.time()}\n")
    if run.data.blocks:
        time.sleep(run.data.seconds)  # an async step should not do this, but steps of users do
    else:
        await asyncio.sleep(run.data.seconds)
    while run.data.waits and is_held(JOURNAL):
        await asyncio.sleep(0.01)  # between two looks at the gate


class JumpingClock(SystemClock):
    """The clock of a machine that is corrected now and then."""

    def __init__(self) -> None:
        self._off = timedelta()
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._jump)

    def now(self) -> datetime:
        return super().now() + self._off

    def _jump(self, number: int, frame: object) -> None:
        self._off += JUMP if number == signal.SIGUSR1 else -JUMP


def read_executions(journal: Path) -> dict[tuple[str, str], list[float]]:
    """Read when each step was executed: seconds since 1970, by foreign id and status."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for line in journal.read_text().splitlines() if journal.exists() else []:
        foreign_id, status, _, at = line.split(" ")
        found[foreign_id, status].append(float(at))
    return found


def count_executions(journal: Path) -> Counter[tuple[str, str]]:
    """Count how often each step was executed, by foreign id and status."""
    return Counter({step: len(times) for step, times in read_executions(journal).items()})


async def main(journal: str, lease: str, url: str, events: str | None = None) -> None:
    JOURNAL.append(Path(journal))
    patch = pytest.MonkeyPatch()
    patch.setattr(runtime, "SystemClock", JumpingClock)
    patch.setattr(role_processes, "Sweeper", partial(Sweeper, every=SWEEPS, age=AGE))
    await serve([chores], lease, url, events)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
