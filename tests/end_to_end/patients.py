"""A worker process for tests: `python -m tests.end_to_end.patients JOURNAL LEASE URL`.

It runs the workflow `patients` until SIGTERM, and then stops in an orderly way. Each call of the
scrubber adds a line to the file JOURNAL: the foreign id.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from tests.end_to_end.serving import serve
from workflow_ray import Cancel, Retention, Run, Status, Workflow


class Patient(BaseModel):
    name: str = "Jane Doe"
    leaves: bool = False  # whether the run is cancelled at once


class PatientStatus(Status):
    ADMITTED = 1
    TREATED = 2
    DISCHARGED = 3


AGE = timedelta(seconds=2)
patients = Workflow(
    "patients",
    Patient,
    PatientStatus,
    entry=PatientStatus.TREATED,
    retention=Retention(data_deleted=timedelta(days=1), cancelled=AGE),
)
JOURNAL: list[Path] = []  # the file, when it is known


@patients.step(PatientStatus.ADMITTED)
async def treat(run: Run[Patient, PatientStatus]) -> Literal[PatientStatus.TREATED] | Cancel:
    if run.data.leaves:
        return Cancel("the patient has left")
    run.data.name = f"{run.data.name}, treated"
    return PatientStatus.TREATED


@patients.step(PatientStatus.TREATED)
async def discharge(run: Run[Patient, PatientStatus]) -> Literal[PatientStatus.DISCHARGED]:
    return PatientStatus.DISCHARGED


@patients.scrub
async def forget(run: Run[Patient, PatientStatus]) -> Patient:
    for journal in JOURNAL:
        with journal.open("a") as file:
            file.write(f"{run.foreign_id}\n")
    return Patient(name="")


async def main(journal: str, lease: str, url: str) -> None:
    JOURNAL.append(Path(journal))
    await serve([patients], lease, url, None)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
