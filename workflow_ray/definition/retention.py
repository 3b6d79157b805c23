"""Retention: for how long what is kept of finished runs is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from workflow_ray.definition.arguments import shown
from workflow_ray.definition.durations import Duration, seconds_of
from workflow_ray.errors import InvalidInput
from workflow_ray.records import RunState

DAY = 86_400.0
"""Seconds. The store knows a write that is repeated by the history."""


@dataclass(frozen=True, kw_only=True)
class Retention:
    """For how long a workflow's finished runs are kept: in seconds or as timedeltas.

    A role of the workflow removes what is older, in small batches. An age counts from the run's
    last version, by the store's clock. What is removed is gone for good: it can't be read, and its
    ids are unknown. None: it is kept for good.

    Args:
        completed: Completed runs, with their history.
        cancelled: Cancelled runs, with their history.
        data_deleted: Runs whose data was deleted, with their history.
        history: The history of finished runs, but for the newest version: a day at least.
        keys: Idempotency keys and messages of runs that were removed. Their age counts from the
            creation of the run. Those of runs that are kept stay.
    """

    completed: Duration | None = None
    cancelled: Duration | None = None
    data_deleted: Duration | None = None
    history: Duration | None = None
    keys: Duration | None = None

    def __post_init__(self) -> None:
        """Check the ages. Raises InvalidInput: one of them can't be used."""
        for field in fields(self):
            given = getattr(self, field.name)
            if given is None:
                continue
            age = seconds_of(field.name, given)
            if field.name == "history" and age < DAY:
                why = "it is a day at least: repeats of a write are recognised by the history"
                raise InvalidInput("history", f"{why}, not {shown(given)}")

    def ages(self) -> Mapping[RunState, float]:
        """Return the seconds for which runs are kept whole, of those states that have a limit."""
        given = {
            RunState.COMPLETED: self.completed,
            RunState.CANCELLED: self.cancelled,
            RunState.DATA_DELETED: self.data_deleted,
        }
        return {
            state: seconds_of(state.name.lower(), age)
            for state, age in given.items()
            if age is not None
        }

    def is_empty(self) -> bool:
        """Whether everything is kept for good."""
        return all(getattr(self, field.name) is None for field in fields(self))


def retention_mistake(given: object) -> str | None:
    """Why this can't be the retention of a workflow. None if it can."""
    if given is None or isinstance(given, Retention):
        return None
    return "hand in a Retention, e.g. Retention(completed=timedelta(days=30))"
