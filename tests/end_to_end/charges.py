"""A workflow whose steps have circuit breakers and fail while a file is there, and a worker that
runs it.
"""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel

from tests.end_to_end.pickups import outage
from tests.end_to_end.serving import serve
from workflow_ray import Breaker, Retry, Run, Status, Workflow

JOURNAL: list[Path] = []  # the file, when it is known
ATTEMPTS = 12
OPEN_FOR = 1.0
LEAST, PROBES = 5, 2
RETRY = Retry(attempts=ATTEMPTS, backoff=timedelta(seconds=0.05), factor=1)
BREAKER = Breaker(
    error_rate=0.5,
    window=timedelta(seconds=10),
    least=LEAST,
    open_for=OPEN_FOR,
    max_open_for=2 * OPEN_FOR,
    probes=PROBES,
)


class At(Status):
    CHARGED_ALONE = 1
    CHARGED_IN_BATCHES = 2
    PAID = 3


class Charge(BaseModel):
    pass


ChargeRun: TypeAlias = Run[Charge, At]
charges = Workflow("charges", Charge, At, entry=At.CHARGED_IN_BATCHES)


@charges.step(At.CHARGED_ALONE, shards=2, max_in_flight=4, retry=RETRY, breaker=BREAKER)
async def charge(run: ChargeRun) -> Literal[At.PAID]:
    note([run])
    return At.PAID


@charges.batch_step(At.CHARGED_IN_BATCHES, max_batch=8, retry=RETRY, breaker=BREAKER)
async def charge_all(runs: list[ChargeRun]) -> list[Literal[At.PAID]]:
    note(runs)
    return [At.PAID for _ in runs]


def note(runs: list[ChargeRun]) -> None:
    """Note a call, and fail if the bank does not work."""
    for journal in JOURNAL:
        with journal.open("a") as file:
            file.write(f"{os.getpid()} {' '.join(run.foreign_id for run in runs)}\n")
        if outage(journal).exists():
            raise ConnectionError("the bank does not answer")


def read_calls(journal: Path) -> list[tuple[int, list[str]]]:
    """The calls of both functions: the process, and the runs."""
    lines = journal.read_text().splitlines(keepends=True) if journal.exists() else []
    words = [line.split() for line in lines if line.endswith("\n")]
    return [(int(pid), names) for pid, *names in words]


async def main(journal: str, lease: str, *urls: str) -> None:
    JOURNAL.append(Path(journal))
    await serve([charges], lease, *urls)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
