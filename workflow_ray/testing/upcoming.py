"""What becomes due in a test when time passes."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from workflow_ray.definition import Schedule, Workflow
from workflow_ray.definition.durations import seconds_of
from workflow_ray.engine.paused_retries import due_at, streak
from workflow_ray.engine.prospects import is_paused_by_error
from workflow_ray.engine.schedules import Waits, moment_of, next_of, ticks_of
from workflow_ray.records import (
    NO_VERSION,
    Event,
    Role,
    RunId,
    SetAside,
    Timeout,
    admission_group,
    paused_retry_group,
    scheduler_group,
)

if TYPE_CHECKING:
    from workflow_ray_adapters.memory import MemoryStore

AnyWorkflow = Workflow[Any, Any]


class Due(NamedTuple):
    """Something that is due at a time."""

    at: datetime
    what: str


class Upcoming:
    """Lists what is due later: attempts, timeouts, ticks, and events that are tried again.

    Args:
        store: Where they are.
        workflows: Those that the test runs, by name.
    """

    def __init__(self, store: "MemoryStore", workflows: Mapping[str, AnyWorkflow]) -> None:
        self._store = store
        self._workflows = workflows

    def listed(self, now: datetime) -> list[Due]:
        """Return everything that is due after `now`, the next one first."""
        found = [
            *(
                self._attempt(entry.event, entry.due_at or now)
                for entry in self._store.delayed()
                # the run may have been removed
                if entry.event is not None and self._store.exists(entry.event.run_id)
            ),
            *(
                self._timeout(timeout)
                for timeout in self._store.pending_timeouts()
                if self._lasts(timeout)
            ),
            *(self._event(entry, now) for entry in self._store.to_retry()),
            *(due for workflow in self._workflows.values() for due in self._retries(workflow)),
            *[tick for tick in self._ticks(now) if tick is not None],
        ]
        return sorted(due for due in found if due.at > now)

    def _attempt(self, event: Event, at: datetime) -> Due:
        return Due(at, f"{self._run(event.run_id, event)}, again")

    def _lasts(self, timeout: Timeout) -> bool:
        """Whether the run has not left the visit, so that the timeout will be called."""
        record = self._store.stored(timeout.key.run_id)
        return record.visit == timeout.key.visit and not record.run_state.finished

    def _timeout(self, timeout: Timeout) -> Due:
        run = self._run(timeout.key.run_id)
        return Due(timeout.due_at, f"{run}, timeout {timeout.key.name}")

    def _run(self, run_id: RunId, event: Event | None = None) -> str:
        record = self._store.stored(run_id)
        workflow = self._workflows[record.workflow]
        status = record.status if event is None else event.status
        message = ", a message" if event is not None and event.version == NO_VERSION else ""
        return (
            f"{record.workflow} {record.foreign_id!r} at {workflow.status_of(status).name}{message}"
        )

    def _retries(self, workflow: AnyWorkflow) -> Iterator[Due]:
        """The retries of runs that an error has paused."""
        if workflow.retry_paused is None:
            return
        first = seconds_of("retry_paused", workflow.retry_paused)
        role = Role(paused_retry_group(workflow.name)).name
        for record, entries in self._store.paused(workflow.name):
            if is_paused_by_error(record):
                at = due_at(record, first, streak(entries, role).retries)
                yield Due(at, f"{self._run(record.run_id)}, the retry of the paused run")

    def _event(self, entry: SetAside, now: datetime) -> Due:
        """An event that is tried again, or the time from which a rate allows another run."""
        group, at = entry.key.group, entry.due_at or now
        if group in map(admission_group, self._workflows):
            return Due(at, f"{entry.event_id} of {group}")
        return Due(at, f"event {entry.event_id} of {group}, again")

    def _ticks(self, now: datetime) -> list[Due | None]:
        return [
            self._tick(workflow, schedule, now)
            for workflow in self._workflows.values()
            for schedule in workflow.checked().schedules
        ]

    def _tick(self, workflow: AnyWorkflow, schedule: Schedule, now: datetime) -> Due | None:
        """The next tick of a schedule. None: it waits for something else than time."""
        positions = self._store.stored_positions(scheduler_group(workflow.name, schedule.name))
        if not positions:
            return None
        match next_of(schedule, ticks_of(schedule), moment_of(positions[0].offset), now):
            case Waits(until) if until is not None:
                return Due(until, f"a tick of schedule {schedule.name} of {workflow.name}")
            case _:
                return None


def in_words(due: Due, now: datetime) -> str:
    """Say what is due and when."""
    wait = (due.at - now).total_seconds()
    return f"{due.what} at {due.at:%Y-%m-%d %H:%M:%S} (in {wait:g} s)"
