"""Bulk jobs: what a request makes of a job, and what a job makes of a page of runs. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from msgspec.structs import replace

from workflow_ray.engine.announcements import announcing
from workflow_ray.engine.control import (
    Action,
    Control,
    Destination,
    Refused,
    Unchanged,
    decide_control,
)
from workflow_ray.engine.data_deletion import deletion_entries
from workflow_ray.engine.next_version import AnyWorkflow, Next
from workflow_ray.records import (
    BulkEntry,
    BulkRequest,
    Cause,
    NewSetAside,
    Record,
    RunId,
    RunState,
    Stored,
    Tried,
    Write,
    WriteId,
    WriteResult,
)

ACTIONS = {action.verb: action for action in Action}
"""The actions of bulk jobs, by the names that callers give."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a job does with a page of runs: the writes, and the job as it is stored with them."""

    writes: tuple[Write, ...]
    job: BulkEntry
    entries: tuple[NewSetAside, ...] = ()  # that wake the role which deletes data


def control_of(job: BulkEntry, workflow: AnyWorkflow) -> Control | None:
    """Return what the job does to each of its runs. None: this code does not know the action, or
    the status that runs are moved to.
    """
    action = ACTIONS.get(job.action)
    if action is not Action.MOVE:
        return None if action is None else Control(action, job.by, job.reason)
    if job.to is None:
        return None
    try:
        to = Destination(workflow, workflow.status_of(job.to))
    except KeyError:
        return None
    return Control(action, job.by, job.reason, to=to)


def answer(job: BulkEntry | None, request: BulkRequest) -> BulkEntry | None:
    """Return the job after a request. None: there was none, and the request does not start it.

    A start that is repeated changes nothing, and a job that has ended stays as it is.
    """
    if job is None:
        return request.start
    if request.state is None or job.state.ended:
        return job
    return replace(job, state=request.state)


def decide_page(
    job_id: str,
    job: BulkEntry,
    asked: Control,
    announced: Collection[RunState],
    found: Sequence[Record],
    delays: Mapping[RunId, float] | None = None,
) -> Page:
    """Decide what becomes of runs: a page, or those whose write was too late.

    Args:
        job_id: The job.
        job: The job, with `tried` as `settle` left it.
        asked: What it does to each run.
        announced: The run states that hooks ask for.
        found: The runs. Those that do not pass the filters any more have moved on.
        delays: The seconds that are left of the delays of their steps, where some are.
    """
    writes: list[Write] = []
    deleting: list[tuple[Record, bool]] = []
    unchanged = refused = moved_on = 0
    for record in found:
        if not job.query.admits(record):
            moved_on += 1
            continue
        write_id = write_id_of(job_id, record.run_id)
        delay = (delays or {}).get(record.run_id, 0.0)
        decided = decide_control(record, asked, write_id=write_id, delay=delay)
        if asked.action is Action.DELETE_DATA:
            deleting.append((record, isinstance(decided, Write)))
        match decided:
            case Write() as write:
                writes.append(announcing(announced, record, write))
            case Unchanged():
                unchanged += 1
            case Refused():
                refused += 1
    job = replace(
        job,
        unchanged=job.unchanged + unchanged,
        refused=job.refused + refused,
        moved_on=job.moved_on + moved_on,
        tried=tuple(Tried(write.run_id, write.expected) for write in writes),
    )
    return Page(tuple(writes), job, deletion_entries(deleting))


def write_id_of(job_id: str, run_id: RunId) -> WriteId:
    """Return the id of the only write that a job may make of a run."""
    return WriteId(str(uuid5(UUID(job_id), run_id)))


def settle(job: BulkEntry, answers: Sequence[WriteResult]) -> BulkEntry:
    """Count the writes of the last page that were committed. Those that were too late stay in
    `tried`.

    Args:
        job: As it was stored with the page.
        answers: The answer to each of its writes.
    """
    stored = {answer.run_id for answer in answers if isinstance(answer, Stored)}
    return replace(
        job,
        changed=job.changed + len(stored),
        tried=tuple(each for each in job.tried if each.run_id not in stored),
    )


def probes_of(
    job_id: str, job: BulkEntry, found: Mapping[RunId, Record]
) -> tuple[BulkEntry, tuple[Write, ...]]:
    """Make writes that tell whether those of the last page were committed. None of them can be.

    A store answers a write that is repeated as it did the first time. One that was not committed
    is too late now, because the run has a newer version. Without a newer version it was not
    committed either, and is made as if it had been too late.

    Args:
        job_id: The job.
        job: The job, whose role may have ended before it learned the answers.
        found: The runs of its last page that exist, by id, as they were read after that.

    Returns:
        The job without the runs that do not exist any more, and the writes.
    """
    left = tuple(each for each in job.tried if each.run_id in found)
    writes = tuple(
        replace(
            Next(found[each.run_id], job.by, write_id_of(job_id, each.run_id)).stay(Cause.PAUSE),
            expected=each.expected,
        )
        for each in left
        if found[each.run_id].version > each.expected
    )
    gone = len(job.tried) - len(left)
    return replace(job, moved_on=job.moved_on + gone, tried=left), writes
