"""A run's history, typed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.definition import Status, Workflow
from workflow_ray.engine.runs import decoded, status_of
from workflow_ray.records import Cause, HistoryEntry, RunState

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


@dataclass(frozen=True, slots=True)
class Entry(Generic[D, S]):
    """One version of a run."""

    version: int  # from 1, without gaps
    status: S
    run_state: RunState
    cause: Cause
    by: str  # the role that wrote it, or "client"
    reason: str | None  # the error, or the reason given to a halt
    at: datetime  # UTC, by the store's clock
    data: D | None  # None: as in the version before

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.version} {self.status.name} {self.run_state.name} {self.cause.name} by {self.by}{why}"


def entry_of(workflow: Workflow[D, S], stored: HistoryEntry) -> Entry[D, S]:
    return Entry(
        version=stored.version,
        status=status_of(workflow, stored.run_id, stored.status),
        run_state=stored.run_state,
        cause=stored.cause,
        by=stored.by,
        reason=stored.reason,
        at=stored.at,
        data=None if stored.data is None else decoded(workflow, stored.run_id, stored.data),
    )
