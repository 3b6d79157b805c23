"""The delays that steps wait for, read from the events that are not due yet. Pure."""

from collections.abc import Iterable
from datetime import datetime

from workflow_ray.records import NO_VERSION, Activity, Record, RunId, Version


def delayed_steps(records: Iterable[Record]) -> dict[RunId, Version]:
    """Return the steps that may wait for a delay, as `RecordStore.activity` asks for them.

    Those of paused runs are among them: their events stay where they are.
    """
    return {
        record.run_id: record.awaited
        for record in records
        if record.awaited > NO_VERSION and not record.parked and not record.run_state.finished
    }


def due_steps(records: Iterable[Record]) -> dict[RunId, Version]:
    """Return those of them that run by themselves, when they are due."""
    return delayed_steps(each for each in records if not each.run_state.at_rest)


def due_times(activity: Activity) -> dict[RunId, datetime]:
    """Return when the steps are due that were asked for. Those that wait for no delay are missing.

    Args:
        activity: The answer to `delayed_steps`.
    """
    return {
        entry.event.run_id: entry.due_at
        for entry in activity.delayed
        if entry.event is not None and entry.due_at is not None
    }


def delays_left(activity: Activity) -> dict[RunId, float]:
    """Return how many seconds of their delays are left, likewise."""
    return {
        run_id: (due_at - activity.now).total_seconds()
        for run_id, due_at in due_times(activity).items()
    }
