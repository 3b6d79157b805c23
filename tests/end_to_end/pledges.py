"""A workflow whose runs wait for a callback or a timeout, and a worker that runs it. Each call of a
function is noted.
"""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from tests.end_to_end.gate import is_held
from tests.end_to_end.serving import serve
from workflow_ray import Run, Status, Workflow

JOURNAL: list[Path] = []


class PledgeStatus(Status):
    OPEN = 1
    DATED = 2
    KEPT = 3
    EXPIRED = 4


class Pledge(BaseModel):
    kept: str = ""


class Promise(BaseModel):
    text: str
    slow: bool = False  # whether it ends only when `held` no longer exists


pledges = Workflow("pledges", Pledge, PledgeStatus, entry=PledgeStatus.DATED)
PledgeRun = Run[Pledge, PledgeStatus]


@pledges.callback(PledgeStatus.OPEN)
async def keep(run: PledgeRun, message: Promise) -> Literal[PledgeStatus.KEPT]:
    note(f"begun {message.text}")
    while message.slow and is_held(JOURNAL):
        await asyncio.sleep(0.01)
    run.data.kept = message.text
    note(f"done {message.text}")
    return PledgeStatus.KEPT


@pledges.timeout(PledgeStatus.DATED, after=timedelta(seconds=1))
async def expire(run: PledgeRun) -> Literal[PledgeStatus.EXPIRED]:
    note(f"expired {run.foreign_id}")
    return PledgeStatus.EXPIRED


def note(what: str) -> None:
    for journal in JOURNAL:
        with journal.open("a") as file:
            file.write(f"{what} {os.getpid()}\n")


def noted(journal: Path) -> list[list[str]]:
    """What was noted: begun, done or expired; the promise or the foreign id; and the process."""
    return [line.split() for line in journal.read_text().splitlines()] if journal.exists() else []


async def main(journal: str, lease: str, url: str, events: str | None = None) -> None:
    JOURNAL.append(Path(journal))
    await serve([pledges], lease, url, events)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
