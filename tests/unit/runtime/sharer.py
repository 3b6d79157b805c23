"""A process that shares roles: `python -m tests.unit.runtime.sharer URL [GATE]`. It says `begun
KEY` of each step that it begins.

Its steps end once the file GATE is there. It stops when its standard input ends.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from workflow_ray import Run, Status, Workflow
from workflow_ray.runtime.local import LocalRuntime
from workflow_ray.runtime.urls import Urls

LEASE = 2.0


class Work(BaseModel):
    by: int = 0  # the process whose step's result was stored


class State(Status):
    NEW = 1
    DONE = 2


GATE = Path(sys.argv[2]) if __name__ == "__main__" and len(sys.argv) > 2 else None
sharing = Workflow("sharing", Work, State)


@sharing.step(State.NEW, shards=4)
async def work(run: Run[Work, State]) -> Literal[State.DONE]:
    if GATE is not None:
        print(f"begun {run.foreign_id}", flush=True)
        while not GATE.exists():
            await asyncio.sleep(0.01)
    run.data.by = os.getpid()
    return State.DONE


async def main(url: str) -> None:
    async with LocalRuntime([sharing], Urls.of(url), lease=LEASE):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
