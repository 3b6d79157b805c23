"""How far a bulk job is, as callers read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from workflow_ray.engine.bulk import answer
from workflow_ray.records import JOBS, BulkEntry, BulkRequest, BulkState, SetAside

_read_job = msgspec.json.Decoder(BulkEntry).decode
_read_request = msgspec.json.Decoder(BulkRequest).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkPreview:
    """What a bulk job would do to the runs that pass its filters now."""

    changed: int
    """Runs that would get a new version."""
    unchanged: int
    """Runs that are so already."""
    refused: int
    """Runs that do not allow the action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkProgress:
    """A bulk job, and how far it is. Runs that it has not reached yet count nowhere."""

    id: str
    action: str
    reason: str | None
    to: int | None
    """Of a move: the number of the status that runs are moved to."""
    by: str
    state: BulkState
    asked: BulkState | None
    """The state that was asked for, which the role has not seen yet. It may finish the page in
    hand. None: nothing was asked for.
    """
    changed: int
    """Runs with a new version. While the job runs, the last page may not be counted yet."""
    unchanged: int
    """Runs that were so already."""
    refused: int
    """Runs that did not allow the action."""
    moved_on: int
    """Runs that passed the filters at first. A step or somebody else has changed them meanwhile, so
    that they do not any more.
    """
    asked_at: datetime
    """When the job was started, by the store's clock. It concerns no run that is newer."""
    changed_at: datetime

    def __str__(self) -> str:
        return (
            f"{self.state.value}: {self.changed} changed, {self.unchanged} unchanged,"
            f" {self.refused} refused, {self.moved_on} moved on"
        )


def progress_of(job_id: str, entries: Sequence[SetAside]) -> BulkProgress | None:
    """Return a job as its entry has it, and what was asked for since. None: it does not exist."""
    own = [entry for entry in entries if entry.key.partition == JOBS]
    requests = sorted(
        (entry for entry in entries if entry.key.partition != JOBS),
        key=lambda entry: (entry.set_aside_at, entry.key),
    )
    job = stored = _read_job(own[0].event) if own else None
    for entry in requests:
        job = answer(job, _read_request(entry.event))
        stored = stored or job
    if job is None or stored is None:
        return None
    return BulkProgress(
        id=job_id,
        action=stored.action,
        reason=stored.reason,
        to=stored.to,
        by=stored.by,
        state=stored.state,
        asked=None if job.state is stored.state else job.state,
        changed=stored.changed,
        unchanged=stored.unchanged,
        refused=stored.refused,
        moved_on=stored.moved_on,
        asked_at=stored.asked_at,
        changed_at=max(entry.changed_at for entry in entries),
    )
