"""`ScheduleControls`, whose calls block. `make sync` writes this from client/schedules.py."""

from datetime import datetime
from typing import Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.client import schedules as asynchronous
from workflow_ray.client.schedules import ScheduleInfo
from workflow_ray.client.triggers import TriggerOutcome
from workflow_ray.definition import Status
from workflow_ray.sync.blocking_calls import BlockingCalls
from workflow_ray.sync.bulk_controls import BulkControls
from workflow_ray.sync.handle import Handle

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class ScheduleControls(BulkControls[D, S], Generic[D, S]):
    """Shows and controls the schedules of one workflow."""

    def __init__(self, calls: BlockingCalls, original: asynchronous.ScheduleControls[D, S]) -> None:
        super().__init__(calls, original)
        self._schedule_controls = original

    def schedules(self) -> list[ScheduleInfo]:
        """Return the workflow's schedules, in the order of the code."""
        return self._calls.result(self._schedule_controls.schedules())

    def pause_schedule(self, name: str) -> None:
        """Pause a schedule: its ticks start no runs. Runs that have started go on.

        A run whose start was under way may still start. To pause a paused schedule changes nothing.

        Args:
            name: The schedule's name.

        Raises:
            UnknownWorkflow, UnknownSchedule: It is not deployed.
        """
        self._calls.result(self._schedule_controls.pause_schedule(name))

    def resume_schedule(self, name: str) -> None:
        """Let a paused schedule continue, from now on: ticks of the pause start no runs.

        `backfill` starts these. To resume a schedule that is not paused changes nothing.

        Args:
            name: The schedule's name.

        Raises:
            UnknownWorkflow, UnknownSchedule: It is not deployed.
        """
        self._calls.result(self._schedule_controls.resume_schedule(name))

    def trigger_schedule(self, name: str) -> Handle[D, S] | None:
        """Start a run of a schedule now, also while it is paused or an earlier run is unfinished.

        The function is called here, with the time by the store's clock as its tick. The schedule's
        own ticks stay as they are.

        Args:
            name: The schedule's name.

        Returns:
            The run's handle. None: the function has returned no data.

        Raises:
            UnknownSchedule: The definition has none of this name.
            ScheduleFailed: Its function raised an error.
            InvalidInput: Its function has returned data that can't be stored.
        """
        return (
            None
            if (found := self._calls.result(self._schedule_controls.trigger_schedule(name))) is None
            else Handle(self._calls, found)
        )

    def backfill(
        self, name: str, start: datetime, end: datetime
    ) -> list[tuple[Handle[D, S], TriggerOutcome]]:
        """Start the runs of a past interval's ticks, those that no run was started for.

        The function is called here, for each of the ticks. Runs start at once, side by side. The
        schedule's position stays. A call that is repeated starts nothing twice.

        Args:
            name: The schedule's name.
            start: The beginning, with a timezone. A tick at this time is included.
            end: The end, with a timezone, not in the future. A tick at this time is left out.

        Returns:
            For each tick with data, in order, the handle of its run, and the outcome: a new run
            (STARTED), the tick's earlier run (KNOWN), or another unfinished run that has the tick's
            foreign id (ACTIVE).

        Raises:
            UnknownSchedule: The definition has none of this name.
            InvalidInput: The interval can't be used, or the function has returned data that can't
                be stored.
            ScheduleFailed: The function raised an error. Runs of earlier ticks may have started.
        """
        return [
            (Handle(self._calls, each[0]), each[1])
            for each in self._calls.result(self._schedule_controls.backfill(name, start, end))
        ]
