"""Converts bulk jobs to what the command line shows."""

from datetime import datetime

import msgspec

from workflow_ray.cli.views import Names
from workflow_ray.client.bulk_progress import BulkProgress


class BulkView(msgspec.Struct, frozen=True, kw_only=True):
    """A bulk job, and how far it is."""

    id: str
    workflow: str
    action: str
    state: str  # running, paused, done or aborted
    asked: str | None  # the state that was asked for and is not there yet
    changed: int  # runs with a new version
    unchanged: int  # runs that were so already
    refused: int  # runs that did not allow the action
    moved_on: int  # runs that had changed, and did not pass the filters any more
    to: str | None  # of a move: the status
    reason: str | None
    by: str
    asked_at: datetime
    changed_at: datetime


class BulkCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What a bulk job would do now."""

    workflow: str
    action: str
    changed: int
    unchanged: int
    refused: int


class BulkDropped(msgspec.Struct, frozen=True, kw_only=True):
    """A bulk job that was dropped."""

    workflow: str
    id: str


def view_of(names: Names, workflow: str, progress: BulkProgress) -> BulkView:
    return BulkView(
        id=progress.id,
        workflow=workflow,
        action=progress.action,
        state=progress.state.value,
        asked=None if progress.asked is None else progress.asked.value,
        changed=progress.changed,
        unchanged=progress.unchanged,
        refused=progress.refused,
        moved_on=progress.moved_on,
        to=None if progress.to is None else names.status(workflow, progress.to),
        reason=progress.reason,
        by=progress.by,
        asked_at=progress.asked_at,
        changed_at=progress.changed_at,
    )
