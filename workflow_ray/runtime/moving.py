"""The moves of runs from statuses that the code does not have any more."""

import logging
from typing import Any
from uuid import UUID, uuid5

import msgspec

from workflow_ray.definition import Status, Workflow
from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    BulkEntry,
    BulkRequest,
    BulkState,
    DeployedWorkflow,
    RunQuery,
    SetAsideQuery,
    WriteGroup,
    bulk_group,
    new_bulk_id,
    request_entry,
)
from workflow_ray.runtime.stranding import UNFINISHED, count_unfinished

log = logging.getLogger(__name__)

BY = "deploy"
"""Who moves the runs, in their history."""
ACTION = "move"


async def start_moves(
    records: RecordStore, deployed: DeployedWorkflow, definition: Workflow[Any, Any]
) -> None:
    """Start a bulk job for each status of `moved=` at which unfinished runs stand.

    A job that is under way is not started again, and neither is one that has ended for this code
    and has left only runs that refused the move. Two processes that do this at once may start two
    jobs: the second one finds the runs moved. Workers with earlier code may put further runs at the
    status until they stop, so each start of a worker looks again.
    """
    gone = {} if deployed.shape is None else deployed.shape.gone
    wanted = {gone[name]: status for name, status in definition.moved.items() if name in gone}
    if not wanted:
        return
    unfinished = await count_unfinished(records, deployed.name)
    if not unfinished.keys() & wanted.keys():
        return
    found = await _jobs(records, definition)
    for name, status in definition.moved.items():
        number = gone.get(name)
        if number is None or not (runs := unfinished.get(number, 0)):
            continue
        if any(_spares(job, number, status.value, deployed.code, runs) for job in found):
            continue
        job_id = await _start(records, deployed, name, number, status.value)
        log.info(
            "workflow %r: bulk job %s moves the runs at %s (%d) to %s",
            deployed.name,
            job_id,
            name,
            runs,
            status.name,
            extra={"workflow": deployed.name},
        )


async def _jobs(records: RecordStore, definition: Workflow[Any, Any]) -> list[BulkEntry]:
    """Return the jobs that move runs, and those that are asked for.

    A job to a status that is gone too does not count: its role aborts it.
    """
    found: list[BulkEntry] = []
    statuses: type[Status] = definition.statuses
    known = {status.value for status in statuses}
    query = SetAsideQuery(group=bulk_group(definition.name))
    while page := await records.set_aside(query):
        for entry in page:
            job = _read(entry.event)
            if job is not None and job.action == ACTION and job.to in known:
                found.append(job)
        query = msgspec.structs.replace(query, after=page[-1].key)
    return found


def _spares(job: BulkEntry, number: int, to: int, code: str, runs: int) -> bool:
    """Whether no other job is needed because of this one, for the unfinished runs at a status.

    Args:
        job: It moves runs.
        number: The status.
        to: Where its runs go.
        code: The digest of the code that asks for that. Empty: not known, so it may be other code.
        runs: How many they are.
    """
    if number not in job.query.statuses:
        return False
    if not job.state.ended:
        return True
    is_same = job.state is BulkState.DONE and job.to == to and bool(code) and job.code == code
    return is_same and runs <= job.refused


def _read(event: bytes) -> BulkEntry | None:
    """Read a job, or the request for one. None: it is a request for something else."""
    try:
        return msgspec.json.decode(event, type=BulkEntry)
    except msgspec.ValidationError:
        return msgspec.json.decode(event, type=BulkRequest).start


async def _start(
    records: RecordStore, deployed: DeployedWorkflow, name: str, number: int, to: int
) -> str:
    job_id, now = new_bulk_id(), (await records.activity(limit=1)).now
    job = BulkEntry(
        query=RunQuery(workflow=deployed.name, statuses=(number,), run_states=UNFINISHED),
        action=ACTION,
        by=BY,
        reason=f"its status {name} is gone",
        asked_at=now,
        to=to,
        code=deployed.code,
    )
    # the same request, if it is sent twice
    request_id = str(uuid5(UUID(job_id), name))
    entry = request_entry(deployed.name, job_id, request_id, BulkRequest(start=job))
    await records.store([WriteGroup(set_aside=(entry,))])
    return job_id
