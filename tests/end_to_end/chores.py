"""A worker process for tests: `python -m tests.end_to_end.chores JOURNAL LEASE URL [EVENTS]`.

It runs the workflow `chores` until SIGTERM, and then leaves in an orderly way. Each execution of a step adds a line to the file
JOURNAL: the foreign id, the status and the process.
"""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from workflow_ray import Run, Status, Workflow
from workflow_ray.runtime.local import LocalRuntime
from workflow_ray.runtime.urls import Urls


class Chore(BaseModel):
    seconds: float = 0.0  # that each step takes
    blocks: bool = False  # without giving the event loop back meanwhile


class ChoreStatus(Status):
    NEW = 1
    BEGUN = 2
    DONE = 3


chores = Workflow("chores", Chore, ChoreStatus)
JOURNAL: list[Path] = []  # the file, once it is known


@chores.step(ChoreStatus.NEW)
async def begin(run: Run[Chore, ChoreStatus]) -> Literal[ChoreStatus.BEGUN]:
    await execute(run)
    return ChoreStatus.BEGUN


@chores.step(ChoreStatus.BEGUN)
async def end(run: Run[Chore, ChoreStatus]) -> Literal[ChoreStatus.DONE]:
    await execute(run)
    return ChoreStatus.DONE


async def execute(run: Run[Chore, ChoreStatus]) -> None:
    for journal in JOURNAL:
        with journal.open("a") as file:
            file.write(f"{run.foreign_id} {run.status.name} {os.getpid()}\n")
    if run.data.blocks:
        time.sleep(run.data.seconds)  # what no async step should do, and what users' steps do
    else:
        await asyncio.sleep(run.data.seconds)


def executions(journal: Path) -> Counter[tuple[str, str]]:
    """How often each step of each run was executed, by foreign id and status."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return Counter((foreign_id, status) for foreign_id, status, _ in (line.split(" ") for line in lines))


async def main(journal: str, lease: str, url: str, events: str | None = None) -> None:
    JOURNAL.append(Path(journal))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with LocalRuntime([chores], Urls.of(url, events), lease=float(lease)):
        print("ready", flush=True)
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
