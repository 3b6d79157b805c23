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
    OutboxEntry,
    Role,
    RunId,
    SetAside,
    Timeout,
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
            *(self._attempt(entry, now) for entry in self._store.delayed()),
            *(
                self._timeout(timeout)
                for timeout in self._store.pending_timeouts()
                if self._lasts(timeout)
            ),
            *(_event(entry, now) for entry in self._store.to_retry()),
            *(due for workflow in self._workflows.values() for due in self._retries(workflow)),
            *[tick for tick in self._ticks(now) if tick is not None],
        ]
        return sorted(due for due in found if due.at > now)

    def _attempt(self, entry: OutboxEntry, now: datetime) -> Due:
        assert entry.event is not None, "this store keeps timeouts, so none is in the outbox"
        return Due(entry.due_at or now, f"{self._run(entry.event.run_id, entry.event)}, again")

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


def _event(entry: SetAside, now: datetime) -> Due:
    return Due(entry.due_at or now, f"event {entry.event_id} of {entry.key.group}, again")


def in_words(due: Due, now: datetime) -> str:
    """Say what is due and when."""
    wait = (due.at - now).total_seconds()
    return f"{due.what} at {due.at:%Y-%m-%d %H:%M:%S} (in {wait:g} s)"
