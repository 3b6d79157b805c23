"""A worker process for tests: `python -m tests.end_to_end.scores JOURNAL LEASE URL`.

It runs the workflow `scores`, whose step takes batches, until SIGTERM. Each call adds a line to the
file JOURNAL when it begins: its foreign ids. Calls wait until the file GATE is beside it. A batch
with a deadly run kills the process.
"""

import asyncio
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel

from tests.end_to_end.serving import serve
from workflow_ray import RayOptions, Retry, Run, Status, Workflow

GATE = "gate"
ATTEMPTS = 2


class Score(BaseModel):
    is_deadly: bool = False
    calls: int = 0  # that have ended with this data


class ScoreStatus(Status):
    NEW = 1
    DONE = 2


ScoreRun: TypeAlias = Run[Score, ScoreStatus]
scores = Workflow("scores", Score, ScoreStatus)
JOURNAL: list[Path] = []  # the file, when it is known


@scores.batch_step(
    ScoreStatus.NEW,
    max_batch=8,
    max_wait=timedelta(milliseconds=200),
    retry=Retry(attempts=ATTEMPTS, backoff=timedelta(milliseconds=10)),
    ray=RayOptions(num_gpus=1),  # the local runtime ignores it
)
def score(runs: list[ScoreRun]) -> list[Literal[ScoreStatus.DONE] | Exception]:
    for journal in JOURNAL:
        with journal.open("a") as file:
            file.write(" ".join(run.foreign_id for run in runs) + "\n")
        while not (journal.parent / GATE).exists():
            time.sleep(0.005)  # between two looks at the gate, in a thread that it may block
    if any(run.data.is_deadly for run in runs):
        os.kill(os.getpid(), signal.SIGKILL)
    for run in runs:
        run.data.calls += 1
    return [ScoreStatus.DONE for _ in runs]


def calls(journal: Path) -> list[list[str]]:
    """The foreign ids of each call."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [line.split(" ") for line in lines]


async def main(journal: str, lease: str, *urls: str) -> None:
    JOURNAL.append(Path(journal))
    await serve([scores], lease, *urls)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
