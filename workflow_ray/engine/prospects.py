"""Whether a run can still reach the status that a wait is for. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from workflow_ray.definition import Graph, Status
from workflow_ray.records import Cause, Record, RunState


class Prospect(Enum):
    THERE = auto()
    """The run is at the status, or was there."""
    OPEN = auto()
    UNREACHABLE = auto()
    PAUSED_BY_ERROR = auto()


@dataclass(frozen=True, slots=True)
class Outlook:
    prospect: Prospect
    why: str = ""


def outlook(
    record: Record,
    visited: Collection[int],
    target: Status,
    graph: Graph[Any],
    names: dict[int, str],
) -> Outlook:
    """Whether the run has reached `target`, or can still reach it."""
    if target.value in visited:
        return Outlook(Prospect.THERE)
    here = names.get(record.status, str(record.status))
    if record.run_state.finished:
        return Outlook(
            Prospect.UNREACHABLE, f"it is {record.run_state.name} at {here}{_because(record)}"
        )
    status = next((s for s in type(target) if s.value == record.status), None)
    if status is None or not graph.reaches(status, target):
        return Outlook(
            Prospect.UNREACHABLE, f"it is at {here}, from where no transition leads there"
        )
    if is_paused_by_error(record):
        return Outlook(Prospect.PAUSED_BY_ERROR, record.reason or "")
    return Outlook(Prospect.OPEN)


def is_paused_by_error(record: Record) -> bool:
    return record.run_state is RunState.PAUSED and record.cause is Cause.FAILED


def _because(record: Record) -> str:
    return f" ({record.reason})" if record.reason else ""
