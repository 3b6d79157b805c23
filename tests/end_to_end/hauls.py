"""A workflow whose steps take as long as a file exists, and whose runs start children, and a worker
that runs it. Each call of a step is noted.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel

from tests.end_to_end.gate import is_held
from tests.end_to_end.serving import serve
from workflow_ray import Run, Status, Stay, Workflow

JOURNAL: list[Path] = []


class HaulStatus(Status):
    LOADING = 1
    DRIVING = 2
    ARRIVED = 3
    TOWING = 4
    WAITING = 5


class Haul(BaseModel):
    trailers: int = 0  # children, which are haulage as well
    depth: int = 0  # of their own children
    loaded: bool = False


HaulRun: TypeAlias = Run[Haul, HaulStatus]
hauls = Workflow("hauls", Haul, HaulStatus, entry=(HaulStatus.DRIVING, HaulStatus.TOWING))


@hauls.step(HaulStatus.LOADING)
async def load(run: HaulRun) -> Literal[HaulStatus.DRIVING]:
    note("load", run)
    run.data.loaded = True
    while is_held(JOURNAL) and not run.cancelled.is_set():
        await asyncio.sleep(0.01)
    note("overtaken" if run.cancelled.is_set() else "loaded", run)
    return HaulStatus.DRIVING


@hauls.step(HaulStatus.DRIVING)
def drive(run: HaulRun) -> Literal[HaulStatus.ARRIVED]:
    note("drive", run)
    while is_held(JOURNAL) and not run.cancelled.is_set():
        time.sleep(0.01)  # between two looks at the gate, in a thread that it may block
    note("overtaken" if run.cancelled.is_set() else "driven", run)
    return HaulStatus.ARRIVED


@hauls.step(HaulStatus.TOWING)
async def tow(run: HaulRun) -> Literal[HaulStatus.WAITING]:
    for number in range(run.data.trailers if run.data.depth else 0):
        haul = Haul(trailers=1, depth=run.data.depth - 1)
        run.start(hauls, f"{run.foreign_id}.{number}", haul, start_at=HaulStatus.TOWING)
    return HaulStatus.WAITING


@hauls.child(HaulStatus.WAITING, hauls)
async def towed(run: HaulRun, trailer: HaulRun) -> Stay:
    return Stay()


def note(what: str, run: HaulRun) -> None:
    for journal in JOURNAL:
        with journal.open("a") as file:
            file.write(f"{what} {run.foreign_id} {os.getpid()}\n")


def noted(journal: Path, what: str, foreign_id: str) -> int:
    """How often this was noted."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return sum(line.split()[:2] == [what, foreign_id] for line in lines)


async def main(journal: str, lease: str, url: str) -> None:
    JOURNAL.append(Path(journal))
    await serve([hauls], lease, url)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
