"""Bulk jobs: what the entries of a bulk role hold.

A job is an entry that its role sets aside, and only that role writes it. What callers ask for is
an entry of its own, which the role takes back when it has done it. So none of them overwrites what
another has written.
"""

from datetime import datetime
from enum import Enum

import msgspec
import uuid_utils

from workflow_ray.records.ids import RunId, Version
from workflow_ray.records.query import RunQuery
from workflow_ray.records.role import bulk_group
from workflow_ray.records.set_aside import NewSetAside, SetAsideKey

JOBS, REQUESTS = 0, 1
"""The partitions of the keys of jobs, and of what callers ask for."""


class BulkState(Enum):
    """Whether a bulk job goes on."""

    RUNNING = "running"
    """Its role works on it, page by page."""
    PAUSED = "paused"
    """It waits until it is resumed."""
    DONE = "done"
    """It has reached every run."""
    ABORTED = "aborted"
    """It was ended before it has reached every run."""

    @property
    def ended(self) -> bool:
        """Whether the job changes no further run, now or later."""
        return self in (BulkState.DONE, BulkState.ABORTED)


class Tried(msgspec.Struct, frozen=True, array_like=True):
    """A run that the last page of a job writes."""

    run_id: RunId
    expected: Version  # the version that the write builds on


class BulkEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job, as JSON in the `event` of its entry. New fields have a default."""

    query: RunQuery  # `after` is the last run of the last page that was written
    action: str
    by: str
    reason: str | None = None
    to: int | None = None  # of a move: the number of the status
    code: str = ""  # of a move that a deploy asks for: the digest of the code that does
    asked_at: datetime
    state: BulkState = BulkState.RUNNING
    # how many runs; those in `tried` count nowhere yet
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    moved_on: int = 0
    # the runs that are written together with this entry: some of the writes may be too late
    tried: tuple[Tried, ...] = ()


class BulkRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller asks for, as JSON in the `event` of its entry. New fields have a default."""

    start: BulkEntry | None = None  # a new job
    state: BulkState | None = None  # the state that the job should change to


def bulk_end_group(workflow: str, job_id: str) -> str:
    """Return the group whose only entry, made when a job ends, wakes those who wait for that."""
    return f"{bulk_group(workflow)}-{job_id}"


def job_key(workflow: str, job_id: str) -> SetAsideKey:
    """Return the key of a job. Job ids are UUIDv7, so jobs are listed by age."""
    return SetAsideKey(bulk_group(workflow), JOBS, 0, job_id)


def job_entry(workflow: str, job_id: str, job: BulkEntry) -> NewSetAside:
    """Return the entry of a job. It is due, so that the role works on it, while the job runs."""
    return NewSetAside(
        key=job_key(workflow, job_id),
        event_id=job_id,
        event=msgspec.json.encode(job),
        attempt=0,
        retry_in=0.0 if job.state is BulkState.RUNNING else None,
    )


def request_entry(workflow: str, job_id: str, request_id: str, request: BulkRequest) -> NewSetAside:
    """Return the entry of a request. It has a key of its own: no other request replaces it.

    Args:
        workflow: The workflow of the runs.
        job_id: The job.
        request_id: A UUIDv7.
        request: What is asked for.
    """
    return NewSetAside(
        key=SetAsideKey(bulk_group(workflow), REQUESTS, 0, f"{job_id}/{request_id}"),
        event_id=job_id,
        event=msgspec.json.encode(request),
        attempt=0,
        retry_in=0.0,
    )


def end_entry(workflow: str, job_id: str) -> NewSetAside:
    """Return the entry that is made when a job ends."""
    return NewSetAside(
        key=SetAsideKey(bulk_end_group(workflow, job_id), JOBS, 0, job_id),
        event_id=job_id,
        event=b"{}",
        attempt=0,
        retry_in=0.0,
    )


def new_bulk_id() -> str:
    """Return an id for a job or a request: a UUIDv7."""
    return str(uuid_utils.uuid7())
